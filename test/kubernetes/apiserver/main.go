// kube-test is all of Kubernetes that the tests need, in one binary: linking takes a large part of the build, and
// etcd, the API server, its controllers and kubectl share most of their code.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	"k8s.io/klog/v2"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	if len(os.Args) < 2 {
		fail("usage: kube-test etcd|apiserver|controllers|kubectl|kstatus [argument...]")
	}
	// Each part reads os.Args as if it were a program of its own.
	os.Args = os.Args[1:]
	switch os.Args[0] {
	case "etcd":
		endWithParent()
		etcdmain.Main(os.Args)
	case "apiserver":
		endWithParent()
		os.Exit(cli.Run(app.NewAPIServerCommand()))
	case "controllers":
		endWithParent()
		exitOn(runControllers())
	case "kubectl":
		util.CheckErr(cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()))
	case "kstatus":
		exitOn(runKstatus())
	default:
		fail("kube-test: there is no " + os.Args[0])
	}
}

// endWithParent ends a server as soon as its standard input closes: when the test that started it is gone, however
// it went.
func endWithParent() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
}

func arguments() []string { return os.Args[1:] }

func klogger(ctx context.Context) klog.Logger { return klog.FromContext(ctx) }

func exitOn(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}
