//go:build ignore

// Buildsigner compiles the program of the joint certificate's page (cmd/anyid-signer) to WebAssembly, and writes it
// compressed into assets, with the wasm_exec.js of the same version of Go, which it cannot run without, and with
// Go's licence. Run it by `go generate ./internal/web` after changing what it is made of: a test compares. With the
// name of a folder it only writes these files there, the module as it is.
package main

import (
	"bytes"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/andybalholm/brotli"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	folder := "assets"
	if len(args) > 0 {
		folder = args[0]
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	for to, from := range map[string]string{"wasm_exec.js": "lib/wasm/wasm_exec.js", "Go-LICENSE.txt": "LICENSE"} {
		content, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), filepath.FromSlash(from)))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, to), content, 0o644); err != nil {
			return err
		}
	}
	if len(args) > 0 {
		return build(filepath.Join(folder, "signer.wasm"))
	}
	temporary, err := os.MkdirTemp("", "signer")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	module := filepath.Join(temporary, "signer.wasm")
	if err := build(module); err != nil {
		return err
	}
	plain, err := os.ReadFile(module)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	w := brotli.NewWriterLevel(&packed, brotli.BestCompression)
	if _, err := w.Write(plain); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := os.WriteFile("assets/signer.wasm.br", packed.Bytes(), 0o644); err != nil {
		return err
	}
	return os.WriteFile("testdata/signer.go-version", []byte(runtime.Version()+"\n"), 0o644)
}

// build compiles the module. Every citizen loads it, so what can be left out is: symbols, and copies of inlined
// functions except where the work is done, which would take four times as long.
func build(to string) error {
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-gcflags=all=-l"}
	for _, hot := range []string{
		"crypto/internal/fips140/bigmod", "crypto/internal/fips140/sha256", "crypto/sha1",
		"github.com/anyid/anyid/pkg/npki/internal/seed",
	} {
		args = append(args, "-gcflags="+hot+"=")
	}
	cmd := exec.Command("go", append(args, "-o", to, "github.com/anyid/anyid/cmd/anyid-signer")...)
	cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "GOFLAGS=", "GOWASM=", "GOEXPERIMENT=", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	return cmd.Run()
}
