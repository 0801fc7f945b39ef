//go:build ignore

// Precompress writes a .br and a .gz beside each style sheet, script and icon file in assets, so that
// the service neither compresses at start nor per request. Run it by `go generate ./internal/web`
// after changing an asset; a test compares.
package main

import (
	"bytes"
	"compress/gzip"
	"log"
	"os"
	"path/filepath"

	"github.com/andybalholm/brotli"
)

func main() {
	for _, pattern := range []string{"assets/*.css", "assets/*.js", "assets/*.svg"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			log.Fatal(err)
		}
		for _, name := range names {
			if err := compress(name); err != nil {
				log.Fatal(err)
			}
		}
	}
}

func compress(name string) error {
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var br, gz bytes.Buffer
	b := brotli.NewWriterLevel(&br, brotli.BestCompression)
	if _, err := b.Write(content); err != nil {
		return err
	}
	if err := b.Close(); err != nil {
		return err
	}
	g, err := gzip.NewWriterLevel(&gz, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := g.Write(content); err != nil {
		return err
	}
	if err := g.Close(); err != nil {
		return err
	}
	if err := os.WriteFile(name+".br", br.Bytes(), 0o644); err != nil {
		return err
	}
	return os.WriteFile(name+".gz", gz.Bytes(), 0o644)
}
