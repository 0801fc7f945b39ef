package mobileid

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/anyid/anyid/internal/outbound"
	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/statuslist"
)

const (
	maxStatusAge   = 5 * time.Minute // of a list that does not say how long it may be kept
	maxStatusLists = 64              // kept at once
	statusTimeout  = 5 * time.Second
)

// statusLists fetches status lists, and keeps them as long as they say.
type statusLists struct {
	verifier *statuslist.Verifier
	deps     Deps
	flight   singleflight.Group

	mu   sync.Mutex
	kept map[string]keptList
}

type keptList struct {
	list  *statuslist.List
	until time.Time
}

var _ statuslist.Fetcher = (*statusLists)(nil)

func newStatusLists(deps Deps, roots *x509.CertPool) *statusLists {
	return &statusLists{verifier: &statuslist.Verifier{Roots: roots}, deps: deps, kept: make(map[string]keptList)}
}

// FetchStatusList implements statuslist.Fetcher. One fetch serves all who wait for the same list.
func (s *statusLists) FetchStatusList(ctx context.Context, uri string) (*statuslist.List, error) {
	if list := s.fresh(uri); list != nil {
		return list, nil
	}
	fetched := s.flight.DoChan(uri, func() (any, error) {
		if list := s.fresh(uri); list != nil {
			return list, nil
		}
		return s.fetch(context.WithoutCancel(ctx), uri)
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-fetched:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*statuslist.List), nil
	}
}

func (s *statusLists) fresh(uri string) *statuslist.List {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.kept[uri]; ok && s.deps.Now().Before(k.until) {
		return k.list
	}
	return nil
}

func (s *statusLists) fetch(ctx context.Context, uri string) (*statuslist.List, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, errors.New("mobileid: status list: the address does not read")
	}
	req.Header.Set("Accept", statuslist.MediaType)
	resp, err := s.deps.HTTP.Do(req)
	if err != nil {
		return nil, fmt.Errorf("mobileid: status list: %w", err)
	}
	defer resp.Body.Close()
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != statuslist.MediaType || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("mobileid: status list: status %d, or not a status list", resp.StatusCode)
	}
	body, err := outbound.ReadAll(resp, statuslist.MaxToken)
	if errors.Is(err, outbound.ErrTooLarge) {
		return nil, oid4vp.Because(oid4vp.ErrTooLarge, "status list token", err)
	}
	if err != nil {
		return nil, fmt.Errorf("mobileid: status list: %w", err)
	}
	now := s.deps.Now()
	list, err := s.verifier.Verify(string(body), uri, now)
	if err != nil {
		return nil, err
	}
	s.keep(uri, keptList{list, list.FreshUntil(now, maxStatusAge)})
	return list, nil
}

// keep remembers a list. When there are too many, those that have served their time go, and then any.
func (s *statusLists) keep(uri string, k keptList) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, old := range s.kept {
		if len(s.kept) < maxStatusLists {
			break
		}
		if !s.deps.Now().Before(old.until) {
			delete(s.kept, other)
		}
	}
	for other := range s.kept {
		if len(s.kept) < maxStatusLists {
			break
		}
		delete(s.kept, other)
	}
	s.kept[uri] = k
}
