package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"

	"github.com/anyid/anyid/internal/sim/simple"
	"github.com/anyid/anyid/internal/testserver"
)

// TestMain lets this test binary be the command anyid too: the scripts run the real main.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"anyid": main})
}

// TestScripts runs every script on each kind of store.
//
// Beside testscript's own commands a script has: sql STATEMENT (on the store's database), await QUERY VALUE
// (until the query gives the value), certificate HOST DAYS (as cert.pem and key.pem), provider (a simulated provider, configured by variables), serve ARGS…
// (anyid serve on a free port, which is then $ADDRESS), get PATH (from there, the body as stdout) and
// interrupt (SIGINT to the service, whose log is then stderr).
func TestScripts(t *testing.T) {
	t.Parallel()
	stores := map[string]func(t testserver.TB, e *testscript.Env){
		"sqlite": func(testserver.TB, *testscript.Env) {},
		"postgres": func(t testserver.TB, e *testscript.Env) {
			e.Setenv("ANYID_STORAGE_DRIVER", "postgres")
			e.Setenv("ANYID_STORAGE_POSTGRES_DSN", testserver.Postgres(t))
			addr, db := testserver.Redis(t)
			e.Setenv("ANYID_KV_DRIVER", "redis")
			e.Setenv("ANYID_KV_REDIS_ADDRESSES", addr)
			e.Setenv("ANYID_KV_REDIS_DB", fmt.Sprint(db))
		},
	}
	for name, setStore := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testscript.Run(t, testscript.Params{
				Dir: filepath.Join("testdata", "script"),
				Setup: func(e *testscript.Env) error {
					for variable, value := range installation() {
						e.Setenv(variable, value)
					}
					e.Setenv("ANYID_DATA", filepath.Join(e.WorkDir, "data"))
					setStore(e.T().(testserver.TB), e)
					return nil
				},
				Condition: func(condition string) (bool, error) {
					if _, ok := stores[condition]; !ok {
						return false, fmt.Errorf("unknown condition %q", condition)
					}
					return condition == name, nil
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"sql": runSQL, "await": await, "certificate": certificate, "provider": startProvider, "serve": serve, "get": get,
				},
				RequireUniqueNames: true,
			})
		})
	}
}

// installation is a set of secrets.
func installation() map[string]string {
	key := func() string {
		var b [32]byte
		_, _ = rand.Read(b[:])
		return base64.StdEncoding.EncodeToString(b[:])
	}
	return map[string]string{
		"ANYID_SECRETS_SEALING": "k1:" + key(), "ANYID_SECRETS_CI_INDEX": key(), "ANYID_SECRETS_SUBJECT": key(),
	}
}

// runSQL changes the store behind the program's back.
func runSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sql STATEMENT")
	}
	db := openSQL(ts)
	defer func() { ts.Check(db.Close()) }()
	_, err := db.Exec(args[0])
	ts.Check(err)
}

// await asks until the answer is the wanted one.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await QUERY VALUE")
	}
	db := openSQL(ts)
	defer func() { ts.Check(db.Close()) }()
	var got string
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		ts.Check(db.QueryRow(args[0]).Scan(&got))
		if got == args[1] {
			return
		}
	}
	ts.Fatalf("%s: still %s", args[0], got)
}

func openSQL(ts *testscript.TestScript) *sql.DB {
	driver, source := "sqlite", filepath.Join(ts.Getenv("ANYID_DATA"), "anyid.db")+"?_pragma=busy_timeout(5000)"
	if ts.Getenv("ANYID_STORAGE_DRIVER") == "postgres" {
		driver, source = "pgx", ts.Getenv("ANYID_STORAGE_POSTGRES_DSN")
	}
	db, err := sql.Open(driver, source)
	ts.Check(err)
	return db
}

// certificate writes a self-signed certificate for the host, which ends after so many days.
func certificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: certificate HOST DAYS")
	}
	days, err := strconv.Atoi(args[1])
	ts.Check(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{args[0]},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(time.Duration(days)*24*time.Hour - time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

// startProvider starts a simulated Barocert, and lets the variables name it.
func startProvider(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: provider")
	}
	phones, err := simple.New(simple.Config{})
	ts.Check(err)
	server := httptest.NewServer(phones.AuthHandler())
	ts.Defer(server.Close)
	for name, value := range map[string]string{
		"ENABLED": "true", "AUTH_URL": server.URL, "API_URL": server.URL, "LINK_ID": phones.LinkID(),
		"SECRET_KEY": phones.SecretKey(), "CLIENT_CODE": phones.ClientCode(),
	} {
		ts.Setenv("ANYID_SIMPLE_"+name, value)
	}
	ts.Setenv("ANYID_OUTBOUND_ALLOW", "127.0.0.0/8")
}

// service is an anyid serve that is running.
type service struct {
	cmd    *exec.Cmd
	log    bytes.Buffer
	logged chan struct{} // closed at the end of its log
}

var listening = regexp.MustCompile(`msg=serving .*listen=(\S+)`)

// serve starts the service and waits until it says where it listens.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("unsupported: ! serve")
	}
	s := &service{logged: make(chan struct{})}
	path, err := exec.LookPath("anyid")
	ts.Check(err)
	s.cmd = exec.Command(path, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	s.cmd.Dir = ts.MkAbs(".")
	for _, line := range os.Environ() {
		if !strings.HasPrefix(line, "ANYID_") {
			s.cmd.Env = append(s.cmd.Env, line)
		}
	}
	for _, name := range variables {
		if value := ts.Getenv(name); value != "" {
			s.cmd.Env = append(s.cmd.Env, name+"="+value)
		}
	}
	stderr, err := s.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(s.cmd.Start())
	ts.Defer(func() { _ = s.cmd.Process.Kill() })
	address := make(chan string, 1)
	go func() {
		defer close(s.logged)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			s.log.WriteString(lines.Text() + "\n")
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
		}
	}()
	select {
	case a := <-address:
		ts.Setenv("ADDRESS", a)
	case <-s.logged:
		ts.Fatalf("the service did not start:\n%s", s.log.String())
	}
	ts.SetCmd("interrupt", func(ts *testscript.TestScript, _ bool, _ []string) { s.interrupt(ts) })
}

// variables are those that scripts set for the service.
var variables = []string{
	"ANYID_DATA", "ANYID_SECRETS_SEALING", "ANYID_SECRETS_CI_INDEX", "ANYID_SECRETS_SUBJECT",
	"ANYID_STORAGE_DRIVER", "ANYID_STORAGE_POSTGRES_DSN", "ANYID_KV_DRIVER", "ANYID_KV_REDIS_ADDRESSES", "ANYID_KV_REDIS_DB",
}

// interrupt stops the service as Ctrl-C does, and fails unless it ends cleanly.
func (s *service) interrupt(ts *testscript.TestScript) {
	ts.Check(s.cmd.Process.Signal(syscall.SIGINT))
	<-s.logged
	err := s.cmd.Wait()
	_, _ = ts.Stderr().Write(s.log.Bytes())
	ts.Check(err)
}

// get fetches a path from the service.
func get(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: get PATH")
	}
	client := &http.Client{Timeout: 10 * time.Second}
	response, err := client.Get("http://" + ts.Getenv("ADDRESS") + args[0])
	ts.Check(err)
	defer response.Body.Close()
	_, err = io.Copy(ts.Stdout(), response.Body)
	ts.Check(err)
	if response.StatusCode != http.StatusOK {
		ts.Fatalf("GET %s: %s", args[0], response.Status)
	}
}
