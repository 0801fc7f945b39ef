package mobileid

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/sim"
)

// korea is the zone of MIP's times, which name none.
var korea = time.FixedZone("KST", 9*60*60)

const mipTime = "2006-01-02T15:04:05"

const (
	maxIDs         = 256
	usualSlowness  = 10 * time.Second
	usualLateness  = 4 * time.Minute
	profileVersion = "3.0"
)

// call wraps a service for programs in the faults that hit any call.
func (s *Simulator) call(operation string, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if on, struck := s.faults.Strike(FaultSlow, operation); struck {
			select {
			case <-time.After(on.Delay(usualSlowness)):
			case <-r.Context().Done():
				return
			}
		}
		if _, struck := s.faults.Strike(FaultUnreachable, operation); struck {
			panic(http.ErrAbortHandler)
		}
		if _, struck := s.faults.Strike(FaultServerError, operation); struck {
			sim.WriteError(w, http.StatusInternalServerError, "broken")
			return
		}
		serve(w, r)
	}
}

// port is a call of a registered institution's.
func (s *Simulator) port(operation string, serve http.HandlerFunc) http.HandlerFunc {
	return s.call(operation, func(w http.ResponseWriter, r *http.Request) {
		key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(key), []byte(s.portKey)) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			sim.WriteError(w, http.StatusUnauthorized, "key")
			return
		}
		serve(w, r)
	})
}

func (s *Simulator) servePorts(mux *http.ServeMux) {
	mux.HandleFunc("GET /ports/health", s.port("health", func(w http.ResponseWriter, _ *http.Request) {
		sim.WriteJSON(w, http.StatusOK, struct{}{})
	}))
	mux.HandleFunc("POST /ports/documents", s.port("documents", s.serveDocuments))
	mux.HandleFunc("POST /ports/statuses", s.port("statuses", s.serveStatuses))
	mux.HandleFunc("POST /ports/profile", s.port("profile", s.serveProfile))
	mux.HandleFunc("POST /ports/decrypt", s.port("decrypt", s.serveDecrypt))
}

// readIDs reads {"ids":[…]}.
func readIDs(w http.ResponseWriter, r *http.Request) ([]string, bool) {
	var in struct {
		IDs []string `json:"ids"`
	}
	if err := sim.ReadJSON(w, r, &in); err != nil || len(in.IDs) > maxIDs {
		sim.WriteError(w, http.StatusBadRequest, "ids")
		return nil, false
	}
	return in.IDs, true
}

func (s *Simulator) serveDocuments(w http.ResponseWriter, r *http.Request) {
	ids, ok := readIDs(w, r)
	if !ok {
		return
	}
	type document struct {
		ID   string        `json:"id"`
		Keys []documentKey `json:"keys"`
	}
	list := []document{}
	for _, id := range ids {
		if keys := s.ledger.keysOf(id); keys != nil {
			list = append(list, document{id, keys})
		}
	}
	sim.WriteJSON(w, http.StatusOK, map[string]any{"documents": list})
}

// The statuses of credentials.
const (
	statusActive    = "ACTIVE"
	statusNeedRenew = "NEED_RENEW"
	statusRevoked   = "REVOKE"
	statusUnknown   = "NOT_EXIST"
)

func (s *Simulator) serveStatuses(w http.ResponseWriter, r *http.Request) {
	ids, ok := readIDs(w, r)
	if !ok {
		return
	}
	type status struct {
		ID     string `json:"id"`
		Status string `json:"status"`
		Memo   string `json:"memo"`
	}
	list := []status{}
	last := -1 // of those that the ledger knows
	var owner *wallet
	for i, id := range ids {
		entry := status{ID: id, Status: statusUnknown}
		if w := s.ledger.ownerOf(id); w != nil {
			entry.Status, last, owner = statusActive, i, w
		}
		list = append(list, entry)
	}
	if last >= 0 {
		for _, fault := range []struct{ name, status, memo string }{
			{FaultRevoked, statusRevoked, ""}, {FaultNeedRenew, statusNeedRenew, "갱신필요"}, {FaultNeedRenewAddress, statusNeedRenew, "주소변경"},
		} {
			if _, struck := s.faults.Strike(fault.name, "statuses", "mip", owner.person.Phone); struck {
				list[last].Status, list[last].Memo = fault.status, fault.memo
			}
		}
	}
	sim.WriteJSON(w, http.StatusOK, map[string]any{"statuses": list})
}

// required are the attributes that the institution's service asks for, as the ledger has it.
var required = []any{"name", "birth", "sex", "nationality"}

func (s *Simulator) serveProfile(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Service  string `json:"service"`
		Nonce    string `json:"nonce"`
		Callback string `json:"callback"`
		Code     string `json:"code"`
	}
	if err := sim.ReadJSON(w, r, &in); err != nil {
		sim.WriteError(w, http.StatusBadRequest, "body")
		return
	}
	if raw, err := hex.DecodeString(in.Nonce); err != nil || len(raw) != 32 {
		sim.WriteError(w, http.StatusBadRequest, "nonce")
		return
	}
	if in.Service != s.service {
		sim.WriteError(w, http.StatusBadRequest, "service")
		return
	}
	text, err := s.makeProfile(in.Nonce, in.Callback, in.Code)
	if err != nil {
		sim.WriteError(w, http.StatusInternalServerError, "profile")
		return
	}
	sim.WriteJSON(w, http.StatusOK, map[string]string{"profile": base64.RawURLEncoding.EncodeToString(text)})
}

func (s *Simulator) makeProfile(nonce, callback, code string) ([]byte, error) {
	name := s.serviceName
	if code != "" {
		name += " [" + code + "]"
	}
	publicKey, err := s.ledger.publicKey()
	if err != nil {
		return nil, err
	}
	var assertions, issuers, kinds []any
	for _, c := range cards {
		assertions = append(assertions, map[string]any{"id": c.Code, "name": c.Label, "type": c.Code})
	}
	for _, did := range s.ledger.issuerDIDs() {
		issuers = append(issuers, did)
	}
	for _, kind := range s.authTypes {
		kinds = append(kinds, kind)
	}
	document := map[string]any{
		"encoding": "UTF-8", "id": s.ledger.institution, "language": "KR", "timezone": "UTC+9", "version": profileVersion,
		"profile": map[string]any{
			"type": "VERIFY", "spCode": "ANYID", "svcCode": s.service, "name": name, "callBackUrl": callback,
			"presentType": 1, "encryptType": 2, "keyType": keyTypeRSA, "authType": kinds, "nonce": nonce, "publicKey": publicKey,
			"filter": map[string]any{"allowIssuerList": issuers, "requiredAssertionList": assertions, "requiredPrivacyList": required},
		},
	}
	if err := signProfile(document, s.ledger.signing, map[string]any{
		"created": s.now().In(korea).Format(mipTime), "creator": s.ledger.institution + "#" + profileKey, "nonce": nonce,
	}); err != nil {
		return nil, err
	}
	return json.Marshal(document)
}

func (s *Simulator) serveDecrypt(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Key         string `json:"key"`
		KeyType     int    `json:"key_type"`
		EncryptType int    `json:"encrypt_type"`
		Data        string `json:"data"`
	}
	if err := sim.ReadJSON(w, r, &in); err != nil || in.Key != s.keyName || in.KeyType != keyTypeRSA || keySizes[in.EncryptType] == 0 {
		sim.WriteError(w, http.StatusBadRequest, "key, key_type or encrypt_type")
		return
	}
	plain, err := unseal(s.ledger.opening, in.EncryptType, in.Data)
	if err != nil {
		sim.WriteError(w, http.StatusUnprocessableEntity, "data")
		return
	}
	sim.WriteJSON(w, http.StatusOK, map[string]string{"data": base64.RawURLEncoding.EncodeToString(plain)})
}
