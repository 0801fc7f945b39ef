package testserver

import (
	"bufio"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPostgresGivesEachCallerAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	a, b := Postgres(t), Postgres(t)
	if a == b {
		t.Fatalf("two callers got the same database %s", a)
	}
	server, err := sharedPostgres()
	if err != nil {
		t.Fatal(err)
	}
	for _, dsn := range []string{a, b} {
		psql := exec.Command(filepath.Join(server.bin, "psql"), "--no-psqlrc", "--tuples-only", "--no-align", "--dbname="+dsn,
			"--command=CREATE TABLE mine (n INT)", "--command=SHOW max_connections", "--command=SHOW server_encoding", "--command=SHOW listen_addresses")
		out, err := psql.CombinedOutput()
		if want := "CREATE TABLE\n200\nUTF8\n\n"; err != nil || string(out) != want {
			t.Errorf("psql: %v, %q, want %q", err, out, want)
		}
	}
}

func TestStopRemovesEverything(t *testing.T) {
	t.Parallel()
	postgres, err := StartPostgres("fsync=on")
	if err != nil {
		t.Fatal(err)
	}
	redis, err := StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	postgres.Stop()
	postgres.Stop()
	redis.Stop()
	for _, p := range append(redis.processes, postgres.process) {
		if _, err := os.Stat(p.folder); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("folder %s is still there: %v", p.folder, err)
		}
	}
	if c, err := net.Dial("tcp", redis.Addrs[0]); err == nil {
		c.Close()
		t.Error("Redis still listens")
	}
}

// TestServersDieWithTheProcess runs this test binary again, lets that child start servers and kills it
// the hard way.
func TestServersDieWithTheProcess(t *testing.T) {
	t.Parallel()
	if os.Getenv("ANYID_TESTSERVER_CHILD") != "" {
		Postgres(t)
		postgres, err := sharedPostgres()
		if err != nil {
			t.Fatal(err)
		}
		Redis(t)
		redis, err := sharedRedis()
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("folders " + postgres.process.folder + " " + redis.processes[0].folder + "\n")
		select {}
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(program, "-test.run=^TestServersDieWithTheProcess$", "-test.timeout=60s")
	child.Env = append(os.Environ(), "ANYID_TESTSERVER_CHILD=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 4096)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	folders := strings.Fields(string(line[:n]))[1:]
	if len(folders) != 2 {
		t.Fatalf("the child said %q", line[:n])
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed
	for _, folder := range folders {
		deadline := time.Now().Add(20 * time.Second)
		for {
			if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("folder %s outlived its process by 20 s", folder)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func TestRedisKinds(t *testing.T) {
	t.Parallel()
	t.Run("single", func(t *testing.T) {
		t.Parallel()
		addr, a := Redis(t)
		_, b := Redis(t)
		if a == b {
			t.Errorf("two callers got database %d", a)
		}
		if info, err := ask(addr, "INFO replication"); err != nil || !strings.Contains(info, "role:master") {
			t.Errorf("INFO: %v, %q", err, info)
		}
	})
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		addrs, master, _ := RedisSentinel(t)
		if answer, err := ask(addrs[0], "SENTINEL get-master-addr-by-name "+master); err != nil || !strings.Contains(answer, "127.0.0.1") {
			t.Errorf("master address: %v, %q", err, answer)
		}
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		addrs, prefix := RedisCluster(t)
		_, other := RedisCluster(t)
		if len(addrs) != 3 || prefix == other {
			t.Errorf("%d nodes, prefixes %q and %q", len(addrs), prefix, other)
		}
		for _, addr := range addrs {
			if info, err := ask(addr, "CLUSTER INFO"); err != nil || !strings.Contains(info, "cluster_slots_ok:16384") {
				t.Errorf("%s: %v, %q", addr, err, info)
			}
		}
	})
}

func TestStartSaysWhatTheServerSaid(t *testing.T) {
	t.Parallel()
	_, _, err := startRedis(func(int) (string, error) { return "no-such-setting 1\n", nil })
	if err == nil || !strings.Contains(err.Error(), "no-such-setting") {
		t.Errorf("a wrong configuration gave %v", err)
	}
}

func FuzzReadAnswer(f *testing.F) {
	for _, seed := range []string{"+OK\r\n", "-ERR no\r\n", ":12\r\n", "$5\r\nhello\r\n", "$-1\r\n", "*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "*-1\r\n", "\n", "$99999999999\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, wire string) {
		answer, err := readAnswer(bufio.NewReader(strings.NewReader(wire)), 4)
		if err != nil && answer != "" {
			t.Errorf("an answer %q beside the error %v", answer, err)
		}
		if len(answer) > 2*len(wire) {
			t.Errorf("%d bytes from %d", len(answer), len(wire))
		}
	})
}
