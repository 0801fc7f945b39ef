package agency

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"time"
)

const (
	maxBody    = 64 << 10
	usualDelay = 10 * time.Second
)

// disturb does what a fault about the whole call says; then the call is over.
func (s *Simulator) disturb(w http.ResponseWriter, r *http.Request, api, operation string) bool {
	if f, struck := s.faults.Strike(FaultSlow, api, operation); struck {
		select {
		case <-r.Context().Done():
			return true
		case <-time.After(f.Delay(usualDelay)):
		}
	}
	if _, struck := s.faults.Strike(FaultUnreachable, api, operation); struck {
		panic(http.ErrAbortHandler)
	}
	if _, struck := s.faults.Strike(FaultServerError, api, operation); struck {
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return true
	}
	return false
}

// answer sends what was made, unless a fault about the answer says otherwise.
func (s *Simulator) answer(w http.ResponseWriter, api, operation, contentType string, body []byte) {
	if _, struck := s.faults.Strike(FaultAnswerLost, api, operation); struck && operation == opResult {
		panic(http.ErrAbortHandler)
	}
	if _, struck := s.faults.Strike(FaultMalformed, api, operation); struck {
		body = body[:len(body)/2]
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(body)
}

// answerJSON sends v.
func (s *Simulator) answerJSON(w http.ResponseWriter, api, operation string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "unencodable answer", http.StatusInternalServerError)
		return
	}
	s.answer(w, api, operation, "application/json; charset=utf-8", body)
}

// readJSON reads the body, one JSON object without unknown members.
func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return false
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	return decoder.Decode(v) == nil && !decoder.More()
}

// registered reports whether the caller's address is.
func (s *Simulator) registered(r *http.Request, api string) bool {
	if _, struck := s.faults.Strike(FaultUnregistered, api); struck {
		return false
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if s.callers == nil || err != nil {
		return s.callers == nil
	}
	for _, p := range s.callers {
		if p.Contains(from.Addr().Unmap()) {
			return true
		}
	}
	return false
}
