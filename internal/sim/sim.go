// Package sim is the frame of the simulators: counterparts of the broker that run on this machine,
// speak the counterpart's own protocol over HTTP, and misbehave on request. A simulator listens on
// loopback only, has fresh keys at each start, and keeps everything in memory. Each counterpart is a
// package below this one, written from the counterpart's specification; none of them shares a line
// with the adapter that talks to it.
package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// Listen opens a TCP listener on a loopback address, such as "127.0.0.1:0" for any free port. It
// refuses every other address: a simulator hands out identities to whoever asks.
func Listen(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("sim: listen: %w", err)
	}
	if !loopback(host) {
		return nil, fmt.Errorf("sim: listen: %q is not a loopback address", address)
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("sim: listen: %w", err)
	}
	return ln, nil
}

// Serve answers requests on ln with h until ctx ends, then closes every connection and returns nil.
func Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("sim: serve: %w", err)
	}
	return nil
}

// loopback reports whether host names this machine's loopback interface. Browsers resolve every name
// below localhost to it (RFC 6761 §6.3), so demos may give each service a name.
func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// maxBody bounds the request bodies that ReadJSON takes.
const maxBody = 64 << 10

// ReadJSON decodes the request's body, one JSON value of at most 64 KiB without unknown fields, into v.
func ReadJSON(w http.ResponseWriter, r *http.Request, v any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("sim: body: %w", err)
	}
	if dec.More() {
		return errors.New("sim: body: more than one JSON value")
	}
	return nil
}

// WriteJSON answers with v as JSON.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "unencodable answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// WriteError answers the JSON API for tests with {"error": message}.
func WriteError(w http.ResponseWriter, status int, message string) {
	WriteJSON(w, status, map[string]string{"error": message})
}
