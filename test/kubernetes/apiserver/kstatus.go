package main

import (
	"encoding/json"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// runKstatus reads a JSON array of objects and writes a JSON array with what kstatus says of each.
func runKstatus() error {
	var objects []map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&objects); err != nil {
		return err
	}
	verdicts := make([]map[string]string, 0, len(objects))
	for _, object := range objects {
		// Decoding gives float64 for every number; the API machinery reads generations as int64.
		text, err := json.Marshal(object)
		if err != nil {
			return err
		}
		read := &unstructured.Unstructured{}
		if err := read.UnmarshalJSON(text); err != nil {
			return err
		}
		verdict, err := status.Compute(read)
		if err != nil {
			return err
		}
		verdicts = append(verdicts, map[string]string{
			"status":  string(verdict.Status),
			"message": verdict.Message,
		})
	}
	return json.NewEncoder(os.Stdout).Encode(verdicts)
}
