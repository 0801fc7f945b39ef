// Package app builds the running service from its configuration. It is the only package that knows all
// the others; whoever wants the whole broker (the command, the demo, end-to-end tests) opens it here.
package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/anyid/anyid/internal/account"
	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/config"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/keys"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/kv/rediskv"
	"github.com/anyid/anyid/internal/kv/sealedkv"
	"github.com/anyid/anyid/internal/kv/sqlkv"
	"github.com/anyid/anyid/internal/login"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/pages"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/storage"
)

// App is an opened installation: its stores and what works on them. Handler and Serve make it answer.
type App struct {
	Config   *config.Config
	DB       *storage.DB
	KV       kv.Store
	Keys     *keys.Ring
	Sites    *site.Directory
	Grants   *grant.Service
	Sessions *session.Service
	Logout   *logout.Service
	Login    *login.Service
	Account  *account.Service
	Methods  map[method.Method]authn.Authenticator

	documents pages.Documents
	veil      *audit.Veil
	runner    *outbox.Runner
	notices   *notice.Service

	log      *slog.Logger
	sealing  []secret.Key
	box      *secret.Box
	index    *secret.Index
	subjects *secret.Index
	matrix   *login.Matrix
	sealer   *audit.Sealer
	closers  []func() error
	jobs     []func(context.Context)
}

// Open opens the stores, migrates and seeds them, loads keys and sites, and makes the adapters of the
// methods that are configured. It listens nowhere and starts no job. Close it.
func Open(ctx context.Context, c *config.Config, log *slog.Logger) (_ *App, err error) {
	a := &App{Config: c, log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if err := a.openSecrets(); err != nil {
		return nil, err
	}
	if err := a.openStores(ctx); err != nil {
		return nil, err
	}
	rotation := keys.Rotation{Publish: c.Keys.Publish, Retire: c.Keys.Retire}
	if a.Keys, err = keys.Open(ctx, a.DB.Keys(), a.box, rotation, time.Now); err != nil {
		return nil, fmt.Errorf("app: signing keys: %w", err)
	}
	if a.Sites, err = site.NewDirectory(ctx, a.DB.Sites()); err != nil {
		return nil, fmt.Errorf("app: sites: %w", err)
	}
	if a.matrix, err = login.NewMatrix(ctx, a.DB.LinkPolicies()); err != nil {
		return nil, fmt.Errorf("app: linking matrix: %w", err)
	}
	a.sealer = &audit.Sealer{Store: a.DB.Audit(), Signer: a.Keys, Now: time.Now, Log: log}
	if err := a.openMethods(); err != nil {
		return nil, err
	}
	a.Grants = &grant.Service{KV: a.KV, Store: a.DB.Grants(), Now: time.Now, Lifetimes: grant.Lifetimes{
		Code: c.Tokens.Code, Access: c.Tokens.Access, RefreshIdle: c.Tokens.RefreshIdle, RefreshAbsolute: c.Tokens.RefreshAbsolute,
	}}
	a.Sessions = &session.Service{KV: a.KV, Policy: session.Policy{Idle: c.Session.Idle, Absolute: c.Session.Absolute}, Now: time.Now}
	if err := a.openDocuments(); err != nil {
		return nil, err
	}
	if err := a.openCitizens(); err != nil {
		return nil, err
	}
	a.Login = &login.Service{
		KV: a.KV, People: a.DB.People(), Matrix: a.matrix, Grants: a.Grants, Sessions: a.Sessions, Sites: a.Sites,
		Logout: a.Logout, Notices: a.notices, Terms: a.terms(), Audit: a.DB.Audit(), Box: a.box, Index: a.index, Subjects: a.subjects, Issuer: c.Issuer, Methods: a.Methods, Levels: c.Levels, Now: time.Now, Log: log,
		Limits: login.Limits{Attempt: c.Login.Attempt, PushesPerPhone: int64(c.Login.PushesPerPhone), PushWindow: c.Login.PushWindow},
	}
	return a, nil
}

func (a *App) openSecrets() error {
	sealing, err := a.Config.Secrets.SealingKeys()
	if err != nil {
		return fmt.Errorf("app: secrets.sealing: %w", err)
	}
	for _, k := range sealing {
		a.sealing = append(a.sealing, secret.Key{ID: k.ID, Bytes: k.Key})
	}
	if a.box, err = secret.NewBox(a.sealing...); err != nil {
		return err
	}
	for name, part := range map[string]struct {
		index **secret.Index
		read  func() ([]byte, error)
	}{
		"secrets.ci_index": {&a.index, a.Config.Secrets.CIIndexKey},
		"secrets.subject":  {&a.subjects, a.Config.Secrets.SubjectKey},
	} {
		key, err := part.read()
		if err != nil {
			return fmt.Errorf("app: %s: %w", name, err)
		}
		if *part.index, err = secret.NewIndex(key); err != nil {
			return fmt.Errorf("app: %s: %w", name, err)
		}
	}
	a.veil = audit.NewVeil(a.index)
	return nil
}

// StorageConfig is where the configuration keeps what must survive.
func StorageConfig(c *config.Config) storage.Config {
	return storage.Config{
		Driver: storage.Driver(c.Storage.Driver), Path: c.Data, DSN: string(c.Storage.Postgres.DSN),
		MaxConns: c.Storage.Postgres.MaxConns, AutoMigrate: true, Now: time.Now,
	}
}

func (a *App) openStores(ctx context.Context) (err error) {
	settings := StorageConfig(a.Config)
	settings.Veil = a.veil
	if a.DB, err = storage.Open(ctx, settings); err != nil {
		return fmt.Errorf("app: storage: %w", err)
	}
	a.closers = append(a.closers, a.DB.Close)
	open, err := a.openKV(ctx)
	if err != nil {
		return err
	}
	a.KV, err = sealedkv.New(open, a.sealing...)
	return err
}

// openKV opens the store of short-lived values, which is not sealed yet.
func (a *App) openKV(ctx context.Context) (kv.Store, error) {
	c := a.Config
	if c.KV.Driver == "redis" {
		store, err := a.dialRedis()
		if err != nil {
			return nil, err
		}
		a.closers = append(a.closers, store.Close)
		if err := store.Ping(ctx); err != nil {
			return nil, fmt.Errorf("app: kv: %w", err)
		}
		return store, nil
	}
	db, err := a.DB.KV()
	if err != nil {
		return nil, fmt.Errorf("app: kv: %w", err)
	}
	store, err := sqlkv.Open(ctx, db, sqlkv.Engine(c.Storage.Driver), time.Now)
	if err != nil {
		return nil, fmt.Errorf("app: kv: %w", err)
	}
	a.closers = append(a.closers, store.Close)
	a.jobs = append(a.jobs, store.Run)
	return store, nil
}

func (a *App) dialRedis() (*rediskv.Store, error) {
	r := a.Config.KV.Redis
	options := rediskv.Config{
		Addrs: r.Addresses, MasterName: r.MasterName, Cluster: r.Mode == "cluster", Prefix: "anyid:",
		DB: r.DB, Username: r.Username, Password: string(r.Password), PoolSize: r.PoolSize,
	}
	if r.TLS {
		roots, err := a.roots()
		if err != nil {
			return nil, err
		}
		options.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	}
	store, err := rediskv.Dial(options)
	if err != nil {
		return nil, fmt.Errorf("app: kv: %w", err)
	}
	return store, nil
}

// roots are the certificate authorities of outbound.ca, beside the system's; nil for the system's only.
func (a *App) roots() (*x509.CertPool, error) {
	if a.Config.Outbound.CA == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(a.Config.Outbound.CA)
	if err != nil {
		return nil, fmt.Errorf("app: outbound.ca: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("app: outbound.ca: no certificate in %s", a.Config.Outbound.CA)
	}
	return pool, nil
}

// openDocuments reads the texts that citizens agree to.
func (a *App) openDocuments() (err error) {
	a.documents = pages.DefaultDocuments()
	if folder := a.Config.Branding.Documents; folder != "" {
		if a.documents, err = pages.ReadDocuments(os.DirFS(folder)); err != nil {
			return fmt.Errorf("app: branding.documents: %w", err)
		}
	}
	return nil
}

// Close stops what is open, last opened first.
func (a *App) Close() error {
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		errs = append(errs, a.closers[i]())
	}
	a.closers = nil
	return errors.Join(errs...)
}

// How often an instance looks for what others changed, and tidies up.
const (
	sitesEvery  = time.Second
	matrixEvery = 5 * time.Second
	keysEvery   = 15 * time.Second
	sealEvery   = 500 * time.Millisecond
	sweepEvery  = time.Minute
	sweepRows   = 1000 // in one statement
)

// runJobs runs the background jobs until the context ends, and returns when all have.
func (a *App) runJobs(ctx context.Context) {
	jobs := append([]func(context.Context){
		a.refresh("sites", sitesEvery, a.Sites.Refresh),
		a.refresh("linking matrix", matrixEvery, a.matrix.Refresh),
		a.refresh("signing keys", keysEvery, a.Keys.Refresh),
		func(ctx context.Context) { a.sealer.Run(ctx, sealEvery) },
		a.runner.Run,
		a.Logout.Run,
		a.sweep("refresh families", func(ctx context.Context) (int, error) { return a.DB.Grants().SweepFamilies(ctx, time.Now(), sweepRows) }),
		a.sweep("alerts", func(ctx context.Context) (int, error) {
			return a.DB.Notices().SweepAlerts(ctx, time.Now().Add(-a.Config.Retention.Alerts), sweepRows)
		}),
		a.sweep("what was retained", func(ctx context.Context) (int, error) { return a.DB.People().SweepRetained(ctx, time.Now(), sweepRows) }),
	}, a.jobs...)
	var running sync.WaitGroup
	for _, job := range jobs {
		running.Go(func() { job(ctx) })
	}
	running.Wait()
}

// refresh is the job that reads again what other instances may have changed. While the store is away,
// everything stays as it was.
func (a *App) refresh(what string, interval time.Duration, read func(context.Context) error) func(context.Context) {
	return func(ctx context.Context) {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := read(ctx); err != nil && ctx.Err() == nil {
					a.log.LogAttrs(ctx, slog.LevelWarn, "app: refresh failed; what was read stays", slog.String("what", what), slog.Any("error", err))
				}
			}
		}
	}
}

// sweep is the job that deletes what is over, in bounded batches.
func (a *App) sweep(what string, rows func(context.Context) (int, error)) func(context.Context) {
	return func(ctx context.Context) {
		for {
			n, err := rows(ctx)
			if err != nil && ctx.Err() == nil {
				a.log.LogAttrs(ctx, slog.LevelWarn, "app: sweeping failed", slog.String("what", what), slog.Any("error", err))
			}
			wait := sweepEvery
			if n == sweepRows && err == nil {
				wait = 0
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
		}
	}
}

// Serve answers on the listener until the context ends, then finishes what is under way.
func (a *App) Serve(ctx context.Context, listener net.Listener) error {
	handler, err := a.Handler()
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second, // longer than any wait for a counterpart
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	if c := a.Config.TLS; c.Cert != "" {
		certificate, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return fmt.Errorf("app: tls: %w", err)
		}
		listener = tls.NewListener(listener, TLSConfig(certificate))
	}
	jobs, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { a.runJobs(jobs) })
	defer running.Wait()
	defer stop()

	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("app: serve: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return errors.Join(fmt.Errorf("app: shutdown: %w", err), server.Close())
	}
	return nil
}

// shutdownGrace is how long requests under way may take when the service stops.
const shutdownGrace = 10 * time.Second

// TLSConfig is the service's own TLS: 1.3, and 1.2 with the four ECDHE-GCM suites that BCP 195 (RFC
// 9325 §4.2) recommends and FAPI 2.0 demands. Go's default would admit CBC suites under 1.2.
func TLSConfig(certificate tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{certificate},
		MinVersion:   tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		},
		NextProtos: []string{"h2", "http/1.1"},
	}
}
