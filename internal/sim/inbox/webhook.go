package inbox

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/sim"
)

// webhookChannel is the channel's name, in messages and as the key of faults.
const webhookChannel = "webhook"

const (
	maxPosted = 64 << 10
	maxAge    = 5 * time.Minute // of a signature, either way
)

// posted is a message as it is posted.
type posted struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	Locale  string    `json:"locale"`
	To      string    `json:"to"`
	Phone   string    `json:"phone"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	Link    string    `json:"link"`
	At      time.Time `json:"at"`
}

// WebhookHandler is the messaging system: messages are posted to any path of it. It answers 202; 401 when the
// signature is wrong or old; 400 when the body is not a message, or the key is another message's.
func (s *Simulator) WebhookHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			sim.WriteError(w, http.StatusMethodNotAllowed, "messages are posted")
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPosted))
		if err != nil {
			sim.WriteError(w, http.StatusBadRequest, "the body does not end")
			return
		}
		if !s.signed(r.Header.Values("Anyid-Signature"), body) {
			sim.WriteError(w, http.StatusUnauthorized, "the signature is not right")
			return
		}
		var m posted
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&m); err != nil || dec.More() || m.ID == "" || m.Subject == "" || m.Text == "" || m.At.IsZero() || m.To == "" && m.Phone == "" {
			sim.WriteError(w, http.StatusBadRequest, "the body is not a message")
			return
		}
		if r.Header.Get("Idempotency-Key") != m.ID {
			sim.WriteError(w, http.StatusBadRequest, "the key is not the message's")
			return
		}
		s.answer(w, r, m)
	})
}

// answer takes the message, or misbehaves.
func (s *Simulator) answer(w http.ResponseWriter, r *http.Request, m posted) {
	strike := func(fault string) (sim.Switch, bool) {
		return s.faults.Strike(fault, webhookChannel, m.To, m.Phone, national(m.Phone))
	}
	if _, ok := strike(FaultRefuse); ok {
		sim.WriteError(w, http.StatusUnprocessableEntity, "no such user: "+m.To+m.Phone)
		return
	}
	if _, ok := strike(FaultServerError); ok {
		sim.WriteError(w, http.StatusInternalServerError, "try again later, "+m.To+m.Phone)
		return
	}
	if _, ok := strike(FaultDrop); ok {
		panic(http.ErrAbortHandler)
	}
	if _, ok := strike(FaultHang); ok {
		<-r.Context().Done()
		return
	}
	if slow, ok := strike(FaultSlow); ok {
		select {
		case <-time.After(slow.Delay(usualDelay)):
		case <-r.Context().Done():
			return
		}
	}
	s.take(Message{
		Channel: webhookChannel, ID: m.ID, Kind: m.Kind, To: m.To, Phone: m.Phone, Subject: m.Subject, Text: m.Text, Link: m.Link, At: m.At,
	})
	if _, ok := strike(FaultTwice); ok {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(http.StatusAccepted)
}

// signed reports whether the header is "t=<seconds>,v1=<HMAC-SHA-256 of "<seconds>.<body>", hex>" of about now.
func (s *Simulator) signed(header []string, body []byte) bool {
	if len(header) != 1 {
		return false
	}
	stamp, code, ok := strings.Cut(header[0], ",")
	stamp, isTime := strings.CutPrefix(stamp, "t=")
	code, isCode := strings.CutPrefix(code, "v1=")
	if !ok || !isTime || !isCode {
		return false
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || stamp != strconv.FormatInt(seconds, 10) || s.now().Sub(time.Unix(seconds, 0)).Abs() > maxAge {
		return false
	}
	mac := hmac.New(sha256.New, []byte(s.secret))
	_, _ = io.WriteString(mac, stamp)
	_, _ = io.WriteString(mac, ".")
	_, _ = mac.Write(body)
	return hmac.Equal([]byte(code), []byte(hex.EncodeToString(mac.Sum(nil))))
}
