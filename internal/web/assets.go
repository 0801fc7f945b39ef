package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
)

//go:generate go run buildsigner.go
//go:generate go run precompress.go

//go:embed assets
var assetFiles embed.FS

// AssetPrefix is the path below which Assets is to be mounted.
const AssetPrefix = "/assets/"

// asset is one embedded file, ready to send.
type asset struct {
	contentType string
	plain       []byte
	br, gz      []byte // nil for what is compressed already
	// unpacked gives plain and gz of a file that lies here only as br, because it is large. Nearly every
	// browser takes that, so they are made when one first does not.
	unpacked func() (plain, gz []byte)
}

// as returns the file in a coding: "br", "gzip" or, if empty, plain.
func (a *asset) as(coding string) []byte {
	plain, gz := a.plain, a.gz
	if a.unpacked != nil && coding != "br" {
		plain, gz = a.unpacked()
	}
	switch coding {
	case "br":
		return a.br
	case "gzip":
		return gz
	}
	return plain
}

var contentTypes = map[string]string{
	".css":   "text/css; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".svg":   "image/svg+xml",
	".woff2": "font/woff2",
	".txt":   "text/plain; charset=utf-8",
	".wasm":  "application/wasm",
}

// assets maps the plain name to the hashed one, and the hashed name to the file.
var assets = sync.OnceValue(func() (out struct {
	hashed map[string]string
	files  map[string]asset
}) {
	out.hashed, out.files = map[string]string{}, map[string]asset{}
	entries, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		panic(err) // embedded
	}
	for _, e := range entries {
		name := e.Name()
		packed, alone := strings.CutSuffix(name, ".wasm.br")
		if alone {
			name = packed + ".wasm"
		}
		contentType, ok := contentTypes[path.Ext(name)]
		if !ok {
			continue // .br and .gz go with their plain file
		}
		a := asset{contentType: contentType, plain: readAsset(name), br: readAsset(name + ".br"), gz: readAsset(name + ".gz")}
		content := a.plain
		if alone {
			a.unpacked = sync.OnceValues(func() (plain, gz []byte) { return unpack(a.br) })
			content = a.br
		}
		hashed := hashedName(name, content)
		out.hashed[name], out.files[hashed] = hashed, a
	}
	return out
})

// unpack turns br into plain and gzip.
func unpack(br []byte) (plain, gz []byte) {
	plain, err := io.ReadAll(brotli.NewReader(bytes.NewReader(br)))
	if err != nil {
		panic(err) // embedded
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(plain); err != nil {
		panic(err) // memory
	}
	if err := w.Close(); err != nil {
		panic(err) // memory
	}
	return plain, b.Bytes()
}

func readAsset(name string) []byte {
	b, err := assetFiles.ReadFile("assets/" + name)
	if err != nil {
		return nil
	}
	return b
}

// hashedName puts the first 48 bits of the content's SHA-256 in front of the extension.
func hashedName(name string, content []byte) string {
	sum := sha256.Sum256(content)
	ext := path.Ext(name)
	return strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
}

// Asset returns the path of an embedded file, such as /assets/anyid.0123456789ab.css for anyid.css.
// The path changes with the content, so browsers may keep it for ever.
func Asset(name string) (string, error) {
	hashed, ok := assets().hashed[name]
	if !ok {
		return "", fmt.Errorf("web: no asset %q", name)
	}
	return AssetPrefix + hashed, nil
}

// Assets serves the embedded files under AssetPrefix, compressed as the browser accepts.
func Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		a, ok := assets().files[strings.TrimPrefix(r.URL.Path, AssetPrefix)]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", a.contentType)
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		coding := ""
		if a.br != nil {
			h.Set("Vary", "Accept-Encoding")
			switch accepted := r.Header.Get("Accept-Encoding"); {
			case accepts(accepted, "br"):
				coding = "br"
			case accepts(accepted, "gzip"):
				coding = "gzip"
			}
		}
		if coding != "" {
			h.Set("Content-Encoding", coding)
		}
		body := a.as(coding)
		h.Set("Content-Length", strconv.Itoa(len(body)))
		if r.Method == http.MethodHead {
			return
		}
		_, _ = w.Write(body) // an error means that the browser has gone
	})
}

// accepts reports whether an Accept-Encoding header names the coding with a weight other than zero
// (RFC 9110 §12.5.3). The wildcard is not taken up: plain is always right.
func accepts(header, coding string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(name), coding) {
			continue
		}
		weight, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		if !ok {
			return true
		}
		q, err := strconv.ParseFloat(weight, 64)
		return err == nil && q > 0
	}
	return false
}
