package testserver

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// PostgresServer is a private PostgreSQL cluster with the superuser "postgres" and no password.
type PostgresServer struct {
	process    *process
	bin        string
	credential *syscall.Credential
}

// StartPostgres makes a cluster in a temporary folder and starts it on a Unix socket there. It does not
// wait for the disk (fsync=off) and takes 200 connections; settings ("name=value") change that and
// everything else, such as "fsync=on" for an honest benchmark.
func StartPostgres(settings ...string) (*PostgresServer, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	credential, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := folder("pg", credential)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "--pgdata="+data, "--username=postgres", "--auth=trust",
		"--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
	initdb.Dir = dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("testserver: initdb: %w: %s", err, out), os.RemoveAll(dir))
	}
	command := []string{filepath.Join(bin, "postgres"), "-D", data, "-k", dir}
	for _, setting := range append([]string{"listen_addresses=", "fsync=off", "full_page_writes=off",
		"max_connections=200", "timezone=UTC"}, settings...) {
		command = append(command, "-c", setting)
	}
	p, err := start(dir, "QUIT", credential, command...)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := p.await(func() error { return postmasterReady(data) }); err != nil {
		return nil, err
	}
	return &PostgresServer{process: p, bin: bin, credential: credential}, nil
}

// DSN returns the URL of one of the cluster's databases. It has a query part, so that more
// parameters can be appended with "&".
func (s *PostgresServer) DSN(database string) string {
	return "postgres://postgres@/" + database + "?host=" + url.QueryEscape(s.process.folder)
}

// Create makes an empty database and returns its URL.
func (s *PostgresServer) Create(database string) (dsn string, err error) {
	return s.DSN(database), s.run("CREATE DATABASE " + database)
}

// Drop removes a database and ends the connections to it.
func (s *PostgresServer) Drop(database string) error {
	return s.run("DROP DATABASE " + database + " WITH (FORCE)")
}

// Stop ends the server and removes its files.
func (s *PostgresServer) Stop() { s.process.stop() }

// run executes one statement by psql, so that this package needs no driver.
func (s *PostgresServer) run(statement string) error {
	psql := exec.Command(filepath.Join(s.bin, "psql"), "--no-psqlrc", "--quiet", "--dbname="+s.DSN("postgres"), "--command="+statement)
	psql.Dir = s.process.folder
	psql.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential}
	if out, err := psql.CombinedOutput(); err != nil {
		return fmt.Errorf("testserver: %s: %w: %s", statement, err, out)
	}
	return nil
}

var (
	sharedPostgres = sync.OnceValues(func() (*PostgresServer, error) { return StartPostgres() })
	databases      atomic.Int64
)

// Postgres returns the URL of a new, empty database on this process's PostgreSQL server, which the
// first call starts. The database is dropped when the test ends. Without PostgreSQL the test fails.
func Postgres(tb TB) (dsn string) {
	tb.Helper()
	server, err := sharedPostgres()
	if err != nil {
		tb.Fatalf("%v", err)
	}
	name := fmt.Sprintf("t%d", databases.Add(1))
	dsn, err = server.Create(name)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	tb.Cleanup(func() {
		if err := server.Drop(name); err != nil {
			tb.Fatalf("%v", err)
		}
	})
	return dsn
}

// postmasterReady reads the status line of the server's lock file (storage/pidfile.h: line 8).
func postmasterReady(data string) error {
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return err
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 8 || strings.TrimSpace(lines[7]) != "ready" {
		return errors.New("the server is starting")
	}
	return nil
}

// postgresBin finds the folder of the server programs: Debian and Red Hat keep them off the PATH.
func postgresBin() (string, error) {
	var found []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/initdb", "/usr/pgsql-*/bin/initdb"} {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			return "", fmt.Errorf("testserver: %w", err)
		}
		found = append(found, matches...)
	}
	version := func(path string) int {
		part := filepath.Base(filepath.Dir(filepath.Dir(path)))
		n, _ := strconv.Atoi(strings.TrimPrefix(part, "pgsql-")) // an odd name sorts last
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, path)
	}
	for _, initdb := range found {
		bin := filepath.Dir(initdb)
		if executable(bin, "postgres") && executable(bin, "psql") {
			return bin, nil
		}
	}
	return "", errors.New("testserver: PostgreSQL is needed: install initdb, postgres and psql (Debian: apt-get install postgresql)")
}

func executable(bin, name string) bool {
	_, err := exec.LookPath(filepath.Join(bin, name))
	return err == nil
}

// unprivileged returns whom to run PostgreSQL as: it refuses root. Nil means the present user.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("testserver: PostgreSQL refuses to run as root, and there is no user postgres or nobody: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("testserver: user %s: %w", u.Username, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("testserver: user %s: %w", u.Username, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
