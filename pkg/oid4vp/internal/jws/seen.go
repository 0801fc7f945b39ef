package jws

import (
	"strings"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// Limits of what is remembered.
const (
	maxSeen       = 32      // headers, and as many that have not been met for longer
	maxSeenHeader = 8 << 10 // bytes of one, in base64url
)

// seen is what go-jose has read from protected headers under which a signature was good. To read one costs it more
// than everything else about a token but the signature: the header thrice, each certificate in x5c twice. An issuer's
// header, and mostly a wallet's too, is the same in token after token. Nothing is decided by it: a header that is
// known is checked, its chain verified, and the signature over it, as if it were new.
var seen = headers{recent: map[string]jose.Signature{}}

// headers remembers by the very bytes of a header, which is all that go-jose's reading depends on.
type headers struct {
	mu           sync.Mutex
	recent, past map[string]jose.Signature
}

func (h *headers) get(protected string) (jose.Signature, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	signature, ok := h.recent[protected]
	if ok {
		return signature, true
	}
	if signature, ok = h.past[protected]; ok {
		h.add(protected, signature)
	}
	return signature, ok
}

// put remembers a header, without the signature that it came with.
func (h *headers) put(protected string, signature jose.Signature) {
	if len(protected) > maxSeenHeader {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.recent[protected]; !ok {
		signature.Signature = nil
		h.add(strings.Clone(protected), signature) // a copy, which does not keep the whole presentation
	}
}

// add forgets what was met longest ago where there is no room. The caller holds the lock.
func (h *headers) add(protected string, signature jose.Signature) {
	if len(h.recent) == maxSeen {
		h.recent, h.past = make(map[string]jose.Signature, maxSeen), h.recent
	}
	h.recent[protected] = signature
}
