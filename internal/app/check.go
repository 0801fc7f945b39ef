package app

import (
	"fmt"
	"log/slog"

	"github.com/anyid/anyid/internal/config"
	"github.com/anyid/anyid/internal/kv/sealedkv"
	"github.com/anyid/anyid/internal/storage"
)

// Check looks for what Open would refuse of a valid configuration: a connection string that is none, files that hold something
// else than they should, what an adapter or a port of messages knows better than package config. It opens no store and reaches
// nobody. The result is each fault that it has found.
func Check(c *config.Config) []error {
	own := *c
	a := &App{Config: &own, log: slog.New(slog.DiscardHandler)}
	if err := a.openSecrets(); err != nil {
		return []error{err}
	}
	kv, err := sealedkv.New(nil, a.sealing...) // adapters want a store to be made, and are not used here
	if err != nil {
		return []error{err}
	}
	a.KV = kv
	var faults []error
	found := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	if err := storage.Check(StorageConfig(&own)); err != nil {
		found(fmt.Errorf("app: storage.postgres.dsn: %w", err))
	}
	if _, err := a.roots(); err != nil {
		found(err)
		own.Outbound.CA = "" // said once
	}
	found(a.openMethods())
	found(a.openDocuments())
	guard, client, err := a.guard()
	if err == nil {
		_, err = a.openPorts(guard, client)
	}
	found(err)
	return flat(faults)
}

// flat takes errors apart that errors.Join has put together.
func flat(errs []error) []error {
	var all []error
	for _, err := range errs {
		joined, ok := err.(interface{ Unwrap() []error }) // what is joined itself, not what wraps it
		if !ok {
			all = append(all, err)
			continue
		}
		all = append(all, flat(joined.Unwrap())...)
	}
	return all
}
