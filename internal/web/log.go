package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"
)

// AccessLog writes one line per request: method, route pattern, status, duration and request id.
// Paths, query strings, headers and bodies are left out, for they carry attempt ids, codes and
// personal data.
func AccessLog(log *slog.Logger) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			rec := &recorder{ResponseWriter: w}
			defer func() {
				log.LogAttrs(r.Context(), slog.LevelInfo, "request",
					slog.String("method", r.Method),
					slog.String("route", r.Pattern),
					slog.Int("status", rec.code()),
					slog.Duration("duration", time.Since(start)),
					slog.String("request_id", RequestID(r.Context())),
				)
			}()
			next.ServeHTTP(rec, r)
		})
	}
}

// Recover answers 500 when a handler panics, and logs where. The panic's own text is logged only if
// the runtime wrote it; any other value could hold personal data, so only its type is.
func Recover(log *slog.Logger, fail FailFunc) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := &recorder{ResponseWriter: w}
			defer func() {
				p := recover()
				if p == nil {
					return
				}
				if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(p)
				}
				what := fmt.Sprintf("%T", p)
				if err, ok := p.(runtime.Error); ok {
					what = err.Error()
				}
				log.LogAttrs(r.Context(), slog.LevelError, "panic",
					slog.String("panic", what),
					slog.String("route", r.Pattern),
					slog.String("request_id", RequestID(r.Context())),
					slog.String("stack", string(debug.Stack())),
				)
				if rec.status != 0 {
					panic(http.ErrAbortHandler) // half an answer is out: cut the connection
				}
				fail(w, r, http.StatusInternalServerError, CodeInternal)
			}()
			next.ServeHTTP(rec, r)
		})
	}
}

// recorder remembers the status that a handler sent, 0 before it did.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}
