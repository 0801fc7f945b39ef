package ca

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/anyid/anyid/internal/sim"
)

// problem is an error answer of the resolver (RFC 9457).
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
}

func refuse(w http.ResponseWriter, status int, kind, title string) {
	body, _ := json.Marshal(problem{"urn:anyid:resolver:" + kind, title, status}) // strings and a number
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// serveCI is the resolver: what an institution's connector to a 본인확인기관 would be.
func (s *Simulator) serveCI(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ResidentNumber string `json:"resident_number"`
		Name           string `json:"name"`
	}
	var malformed error
	if r.Method == http.MethodPost {
		malformed = sim.ReadJSON(w, r, &in)
	}
	keys := []string{opCI, in.ResidentNumber}
	if s.disturbHTTP(w, r, keys) {
		return
	}
	kind, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	_, struck := s.faults.Strike(FaultResolverKey, keys...)
	switch {
	case struck || !strings.EqualFold(kind, "Bearer") || subtle.ConstantTimeCompare([]byte(key), []byte(s.resolverKey)) != 1:
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(w, http.StatusUnauthorized, "unauthorized", "the key is not known")
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, "method", "POST is wanted")
		return
	case malformed != nil:
		refuse(w, http.StatusBadRequest, "malformed", "the request cannot be read")
		return
	}
	person, ok := s.known(in.ResidentNumber, in.Name)
	if !ok {
		refuse(w, http.StatusNotFound, "unknown-person", "nobody has that name and number")
		return
	}
	ci := person.CI
	if _, struck := s.faults.Strike(FaultResolverOther, keys...); struck {
		ci = s.anotherCI(person)
	}
	if _, struck := s.faults.Strike(FaultResolverBroken, keys...); struck {
		ci = ci[:80]
	}
	sim.WriteJSON(w, http.StatusOK, map[string]string{"ci": ci})
}

// anotherCI is the CI of somebody else, invented if there is nobody else.
func (s *Simulator) anotherCI(than Person) string {
	for _, p := range s.demo {
		if p.CI != than.CI {
			return p.CI
		}
	}
	return inventedCI("")
}
