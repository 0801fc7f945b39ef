package testserver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// sentinelMaster is the name under which StartSentinel's master is known.
const sentinelMaster = "anyid"

// redisDatabases is how many numbered databases a single server has, so that each test has its own.
const redisDatabases = 10000

// RedisServer is a private Redis server, or several that belong together. It keeps nothing on disk.
type RedisServer struct {
	// Addrs are the loopback addresses to dial: the server's, every Cluster node's, or the Sentinel's.
	Addrs []string
	// Master is the name that the Sentinel knows the master by; empty if there is no Sentinel.
	Master    string
	processes []*process
}

// StartRedis starts a single server.
func StartRedis() (*RedisServer, error) {
	s := new(RedisServer)
	if err := s.add(plainConfig); err != nil {
		return nil, err
	}
	return s, nil
}

// StartSentinel starts a master and one Sentinel that watches it.
func StartSentinel() (*RedisServer, error) {
	s := &RedisServer{Master: sentinelMaster}
	if err := s.add(plainConfig); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(s.Addrs[0])
	if err != nil {
		return nil, err
	}
	s.Addrs = nil
	monitor := fmt.Sprintf("sentinel monitor %s %s %s 1\n", sentinelMaster, host, port)
	if err := s.add(func(int) (string, error) { return monitor, nil }); err != nil {
		return nil, err
	}
	return s, nil
}

// StartCluster starts three masters that share the slots.
func StartCluster() (*RedisServer, error) {
	s := new(RedisServer)
	var bus []string
	for range 3 {
		err := s.add(func(int) (string, error) {
			port, err := freePort()
			bus = append(bus, strconv.Itoa(port))
			return fmt.Sprintf("cluster-enabled yes\ncluster-port %d\ncluster-config-file nodes.conf\n", port), err
		})
		if err != nil {
			return nil, err
		}
	}
	if err := s.join(bus[len(bus)-3:]); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// join gives each node its slots, makes every node meet every other and waits until all agree.
func (s *RedisServer) join(bus []string) error {
	const slots = 16384
	n := len(s.Addrs)
	for i, addr := range s.Addrs { // a node that knows others takes no epoch any more
		for _, command := range []string{
			fmt.Sprintf("CLUSTER SET-CONFIG-EPOCH %d", i+1),
			fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", slots*i/n, slots*(i+1)/n-1),
		} {
			if _, err := ask(addr, command); err != nil {
				return err
			}
		}
	}
	for i, addr := range s.Addrs {
		for j, other := range s.Addrs {
			host, port, err := net.SplitHostPort(other)
			if err != nil {
				return err
			}
			if i == j {
				continue
			}
			if _, err := ask(addr, fmt.Sprintf("CLUSTER MEET %s %s %s", host, port, bus[j])); err != nil {
				return err
			}
		}
	}
	for i, addr := range s.Addrs {
		err := s.processes[i].await(func() error {
			info, err := ask(addr, "CLUSTER INFO")
			if err == nil && !(strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_size:"+strconv.Itoa(n))) {
				err = errors.New("the cluster is forming")
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Stop ends the servers and removes their files.
func (s *RedisServer) Stop() {
	for _, p := range s.processes {
		p.stop()
	}
}

func plainConfig(int) (string, error) {
	return fmt.Sprintf("databases %d\n", redisDatabases), nil
}

// add starts one more server whose configuration is what config says, on a free port. Another process
// may take the port in between, so it tries again; on failure it stops all.
func (s *RedisServer) add(config func(port int) (string, error)) error {
	var err error
	for range 3 {
		var addr string
		var p *process
		if addr, p, err = startRedis(config); err == nil {
			s.Addrs = append(s.Addrs, addr)
			s.processes = append(s.processes, p)
			return nil
		}
	}
	s.Stop()
	return err
}

func startRedis(config func(port int) (string, error)) (addr string, p *process, err error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return "", nil, errors.New("testserver: Redis is needed: install redis-server 7 or later (Debian: apt-get install redis-server)")
	}
	port, err := freePort()
	if err != nil {
		return "", nil, err
	}
	text, err := config(port)
	if err != nil {
		return "", nil, err
	}
	dir, err := folder("redis", nil)
	if err != nil {
		return "", nil, err
	}
	file := filepath.Join(dir, "redis.conf")
	command := []string{program, file}
	if strings.HasPrefix(text, "sentinel ") {
		command = append(command, "--sentinel")
	} else {
		text += "save \"\"\nappendonly no\n"
	}
	text += fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nloglevel warning\n", port, dir)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", nil, errors.Join(fmt.Errorf("testserver: %w", err), os.RemoveAll(dir))
	}
	if p, err = start(dir, "TERM", nil, command...); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	err = p.await(func() error {
		info, err := ask(addr, "INFO server")
		if err == nil && !strings.Contains(info, "config_file:"+file) {
			err = errors.New("another server has the port")
		}
		return err
	})
	return addr, p, err
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("testserver: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// ask sends one inline command and returns the answer as text, the elements of an array one per line.
func ask(addr, command string) (string, error) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, command+"\r\n"); err != nil {
		return "", err
	}
	answer, err := readAnswer(bufio.NewReader(c), 4)
	if err != nil {
		return "", fmt.Errorf("testserver: redis %s: %w", command, err)
	}
	return answer, nil
}

// readAnswer reads one value of the Redis protocol (RESP2), with arrays nested as deep as depth says.
func readAnswer(r *bufio.Reader, depth int) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	kind, text := line[0], strings.TrimSpace(line[1:])
	switch kind {
	case '-':
		return "", errors.New(text)
	case '$':
		n, err := strconv.Atoi(text)
		if err != nil {
			return "", err
		}
		if n < 0 { // the null answer has no body
			return "", nil
		}
		if n > 1<<20 {
			return "", fmt.Errorf("answer of %d bytes", n)
		}
		bulk := make([]byte, n+2)
		if _, err := io.ReadFull(r, bulk); err != nil {
			return "", err
		}
		return string(bulk[:n]), nil
	case '*':
		n, err := strconv.Atoi(text)
		if err != nil {
			return "", err
		}
		if depth == 0 {
			return "", errors.New("answer nested too deep")
		}
		var all strings.Builder
		for range n {
			element, err := readAnswer(r, depth-1)
			if err != nil {
				return "", err
			}
			all.WriteString(element + "\n")
		}
		return all.String(), nil
	}
	return text, nil
}

var (
	sharedRedis    = sync.OnceValues(StartRedis)
	sharedSentinel = sync.OnceValues(StartSentinel)
	sharedCluster  = sync.OnceValues(StartCluster)
	redisParts     atomic.Int64
)

// Redis returns the address of this process's single Redis server, which the first call starts, and the
// number of a database there that no other test uses. Without redis-server the test fails.
func Redis(tb TB) (addr string, db int) {
	tb.Helper()
	server, err := sharedRedis()
	if err != nil {
		tb.Fatalf("%v", err)
	}
	return server.Addrs[0], int(redisParts.Add(1) % redisDatabases)
}

// RedisSentinel is Redis for a master that is found through a Sentinel, by its name.
func RedisSentinel(tb TB) (addrs []string, master string, db int) {
	tb.Helper()
	server, err := sharedSentinel()
	if err != nil {
		tb.Fatalf("%v", err)
	}
	return slices.Clone(server.Addrs), server.Master, int(redisParts.Add(1) % redisDatabases)
}

// RedisCluster is Redis for a Cluster of three masters. A Cluster has one database, so what a test
// has for itself is the prefix for its keys.
func RedisCluster(tb TB) (addrs []string, prefix string) {
	tb.Helper()
	server, err := sharedCluster()
	if err != nil {
		tb.Fatalf("%v", err)
	}
	return slices.Clone(server.Addrs), fmt.Sprintf("t%d:", redisParts.Add(1))
}
