package mobileid

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/anyid/anyid/internal/sim"
)

// The push service's numbers.
const (
	pushOK         = 0
	pushMscode     = 10301
	pushType       = 10302
	pushTelno      = 10303
	pushData       = 10304
	pushNoReceiver = 10305
	pushNotKept    = 10306
	pushOther      = 10399
)

var pushMessages = map[int]string{
	pushOK: "success", pushMscode: "invalid mscode", pushType: "invalid pushType", pushTelno: "invalid telno", pushData: "invalid data",
	pushNoReceiver: "receiver not found", pushNotKept: "insert failed", pushOther: "unknown error",
}

// servePush takes a push and hands it to the phone, whose wallet opens it at once.
func (s *Simulator) servePush(w http.ResponseWriter, r *http.Request) {
	receiver, text, code := s.takePush(w, r)
	answer := map[string]any{"key": 0, "result": code == pushOK, "resultMsg": "FAIL", "errcode": code, "errmsg": pushMessages[code]}
	if code == pushOK {
		s.mu.Lock()
		s.pushes++
		answer["key"], answer["resultMsg"] = s.pushes, "SUCCESS"
		s.mu.Unlock()
		go s.receive(context.WithoutCancel(r.Context()), receiver, text)
	}
	sim.WriteJSON(w, http.StatusOK, answer)
}

func (s *Simulator) takePush(w http.ResponseWriter, r *http.Request) (*wallet, string, int) {
	var body struct {
		Data string `json:"data"`
	}
	var message struct {
		Mscode string `json:"mscode"`
		Type   string `json:"pushType"`
		Telno  string `json:"telno"`
		Name   string `json:"name"`
		Birth  string `json:"birth"`
		Data   string `json:"data"`
	}
	if sim.ReadJSON(w, r, &body) != nil {
		return nil, "", pushData
	}
	raw, err := decodeMIP(body.Data)
	if err != nil || json.Unmarshal(raw, &message) != nil {
		return nil, "", pushData
	}
	if _, struck := s.faults.Strike(FaultPushFails, "push", message.Telno); struck {
		return nil, "", pushOther
	}
	receiver := s.byPhone[message.Telno]
	_, away := s.faults.Strike(FaultNoReceiver, "push", message.Telno)
	switch {
	case message.Mscode != s.pushCode:
		return nil, "", pushMscode
	case message.Type != "MIP-USP-001":
		return nil, "", pushType
	case !phonePattern.MatchString(message.Telno):
		return nil, "", pushTelno
	case receiver == nil || away:
		return nil, "", pushNoReceiver
	}
	if _, err := parseStart(message.Data); err != nil {
		return nil, "", pushData
	}
	if len(s.Waiting(message.Telno)) >= maxWaiting {
		return nil, "", pushNotKept
	}
	return receiver, message.Data, pushOK
}

// receive opens a push on the phone. What does not open is in its history.
func (s *Simulator) receive(ctx context.Context, w *wallet, text string) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	a, err := s.askMIP(ctx, w, text)
	if err == nil {
		_, err = s.wait(ctx, w, a)
	}
	if err != nil {
		req := &request{wallet: w, Waiting: Waiting{ID: newID(), Asker: "모바일 신분증 요청"}}
		s.record(req, Choice{}, outcomeOf(err, Outcome{}))
	}
}
