package site

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/anyid/anyid/internal/fault"
)

// Directory is the sites in memory: reads cost a map look-up, and a change in the store, by this
// process or another, shows after the next Refresh.
type Directory struct {
	store    Store
	snapshot atomic.Pointer[snapshot]
	loading  sync.Mutex
}

type snapshot struct {
	byID     map[string]*Registered
	revision int64
}

// NewDirectory loads the sites.
func NewDirectory(ctx context.Context, store Store) (*Directory, error) {
	d := &Directory{store: store}
	d.snapshot.Store(&snapshot{revision: -1})
	if err := d.Refresh(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// Lookup returns the site, or fault.NotFound; a disabled site is not found. The result is shared: it is
// read only.
func (d *Directory) Lookup(id string) (*Registered, error) {
	s, ok := d.snapshot.Load().byID[id]
	if !ok || s.Disabled {
		return nil, fault.New(fault.NotFound, "site %q is not registered", id)
	}
	return s, nil
}

// Len is the number of sites, disabled ones included.
func (d *Directory) Len() int { return len(d.snapshot.Load().byID) }

// Refresh loads the sites if the store's revision has changed.
func (d *Directory) Refresh(ctx context.Context) error {
	d.loading.Lock()
	defer d.loading.Unlock()
	revision, err := d.store.SitesRevision(ctx)
	if err != nil {
		return err
	}
	if revision == d.snapshot.Load().revision {
		return nil
	}
	sites, revision, err := d.store.Sites(ctx)
	if err != nil {
		return err
	}
	next := &snapshot{byID: make(map[string]*Registered, len(sites)), revision: revision}
	for i := range sites {
		next.byID[sites[i].ID] = &sites[i]
	}
	d.snapshot.Store(next)
	return nil
}
