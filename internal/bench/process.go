package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc/<pid>/stat: USER_HZ, 100 a second on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// stat is a line of /proc/<pid>/stat (proc_pid_stat(5)).
type stat struct {
	pid, parent int
	name        string
	cpu         time.Duration // user and system, with that of children that have ended
}

func parseStat(line []byte) (s stat, err error) {
	// The name stands in parentheses and may hold anything, parentheses too.
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 1 || end < open {
		return s, fmt.Errorf("bench: no process status: %.40q", line)
	}
	fields := strings.Fields(string(line[end+1:]))
	if len(fields) < 15 {
		return s, fmt.Errorf("bench: a short process status: %.40q", line)
	}
	number := func(text string) int {
		n, e := strconv.Atoi(text)
		if e != nil && err == nil {
			err = fmt.Errorf("bench: process status: %w", e)
		}
		return n
	}
	s.name = string(line[open+1 : end])
	s.pid, s.parent = number(strings.TrimSpace(string(line[:open]))), number(fields[1])
	s.cpu = time.Duration(number(fields[11])+number(fields[12])+number(fields[13])+number(fields[14])) * tick
	return s, err
}

// Spent is the processor time that each part has used.
type Spent struct {
	Broker, Driver, Providers, Postgres, Redis time.Duration
}

func (s Spent) minus(t Spent) Spent {
	return Spent{s.Broker - t.Broker, s.Driver - t.Driver, s.Providers - t.Providers, s.Postgres - t.Postgres, s.Redis - t.Redis}
}

func (s Spent) sum() time.Duration { return s.Broker + s.Driver + s.Providers + s.Postgres + s.Redis }

// machine is the processor time of all processors together since the start.
type machine struct{ busy, idle time.Duration }

func (m machine) minus(n machine) machine { return machine{m.busy - n.busy, m.idle - n.idle} }

// others is the share that was used by none of ours.
func (m machine) others(ours Spent) float64 {
	if all := m.busy + m.idle; all > 0 {
		return max(0, float64(m.busy-ours.sum())/float64(all))
	}
	return 0
}

// parseMachine reads the first line of /proc/stat (proc_stat(5)): user, nice, system, idle, iowait, irq,
// softirq and steal.
func parseMachine(text []byte) (m machine, err error) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	fields := strings.Fields(string(line))
	if len(fields) < 9 || fields[0] != "cpu" {
		return m, fmt.Errorf("bench: no processor times: %.40q", line)
	}
	for i, field := range fields[1:9] {
		n, err := strconv.Atoi(field)
		if err != nil {
			return m, fmt.Errorf("bench: processor times: %w", err)
		}
		if i == 3 || i == 4 {
			m.idle += time.Duration(n) * tick
		} else {
			m.busy += time.Duration(n) * tick
		}
	}
	return m, nil
}

// usage adds up the processes of the benchmark: itself, the broker and the providers by their ids, and
// what is named as a database server and descends from it.
func (s *session) usage(p *prepared) (u Spent, m machine, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u, m, fmt.Errorf("bench: %w", err)
	}
	if m, err = parseMachine(text); err != nil {
		return u, m, err
	}
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return u, m, err
	}
	all := make(map[int]stat, len(files))
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		process, err := parseStat(line)
		if err != nil {
			return u, m, err
		}
		all[process.pid] = process
	}
	self, broker, providers := os.Getpid(), p.pid(), s.providers.pid()
	ours := func(process stat) bool {
		for process.pid > 1 {
			if process.parent == self {
				return true
			}
			process = all[process.parent]
		}
		return false
	}
	for _, process := range all {
		switch {
		case process.pid == self:
			u.Driver = process.cpu
		case process.pid == broker:
			u.Broker = process.cpu
		case process.pid == providers:
			u.Providers = process.cpu
		case strings.HasPrefix(process.name, "postgres") && ours(process):
			u.Postgres += process.cpu
		case strings.HasPrefix(process.name, "redis") && ours(process):
			u.Redis += process.cpu
		}
	}
	return u, m, nil
}

// memory is a process's resident memory in bytes: now, and the most that it ever had.
func memory(pid int) (now, most int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("bench: %w", err)
	}
	return parseMemory(string(text))
}

func parseMemory(status string) (now, most int64, err error) {
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		var into *int64
		switch name {
		case "VmRSS":
			into = &now
		case "VmHWM":
			into = &most
		default:
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("bench: %s: %w", name, err)
		}
		*into = kib << 10
	}
	return now, most, nil
}

// cpuModel is the processor's name, as Linux has it.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
