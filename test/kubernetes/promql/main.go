// Reads a JSON list of PromQL expressions and says of each what Prometheus' own parser makes of it.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/prometheus/prometheus/promql/parser"
)

type verdict struct {
	// Empty for what can be parsed.
	Error string `json:"error"`
	// The metrics that it selects.
	Metrics []string `json:"metrics"`
	// The labels that it selects or groups by.
	Labels []string `json:"labels"`
}

func judge(parse parser.Parser, text string) verdict {
	found := verdict{Metrics: []string{}, Labels: []string{}}
	expression, err := parse.ParseExpr(text)
	if err != nil {
		found.Error = err.Error()
		return found
	}
	parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
		switch each := node.(type) {
		case *parser.VectorSelector:
			found.Metrics = append(found.Metrics, each.Name)
			for _, matcher := range each.LabelMatchers {
				if matcher.Name != "__name__" {
					found.Labels = append(found.Labels, matcher.Name)
				}
			}
		case *parser.AggregateExpr:
			found.Labels = append(found.Labels, each.Grouping...)
		}
		return nil
	})
	return found
}

func main() {
	var expressions []string
	if err := json.NewDecoder(os.Stdin).Decode(&expressions); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	verdicts := []verdict{}
	parse := parser.NewParser(parser.Options{})
	for _, each := range expressions {
		verdicts = append(verdicts, judge(parse, each))
	}
	if err := json.NewEncoder(os.Stdout).Encode(verdicts); err != nil {
		os.Exit(2)
	}
}
