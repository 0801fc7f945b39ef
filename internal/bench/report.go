package bench

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// The goals, on two processors with everything beside the service on the same two.
const (
	goalStart   = 80 * time.Millisecond
	goalIdle    = 40_000_000
	goalLoaded  = 100_000_000
	goalBinary  = 30_000_000
	goalSilent  = 1500.0 // a second, on PostgreSQL and Redis
	goalCPU     = 0.5    // milliseconds of the service for a silent login, there
	goalJourney = 600.0  // a second, there
)

// names of the stores in the report.
var names = map[string]string{SQLite: "SQLite", Postgres: "PostgreSQL", PostgresRedis: "PostgreSQL + Redis"}

// Print writes the result as tables, for people.
func (r Result) Print(out io.Writer, at time.Time) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Any-ID on %s, %d processors, %s, %s %s/%s\n", cpuModel(), runtime.NumCPU(), at.Format(time.DateOnly), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(&b, "for scale: an ES256 signature takes %.3f ms here, an fsync %.2f ms\n\n", ms(r.ES256), ms(r.Sync))

	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	row := func(cells ...string) { fmt.Fprintln(w, strings.Join(cells, "\t")) }
	row("the program", "median", "best", "goal", "")
	row("binary", mb(r.BinarySize), "", "< "+mb(goalBinary), met(r.BinarySize < goalBinary))
	for _, s := range r.Stores {
		store := " (" + names[s.Store] + ")"
		row("start to first answer"+store, msText(middle(s.Existing)), msText(s.Existing[0]), "< "+msText(goalStart), met(middle(s.Existing) < goalStart))
		row("the same on an empty store", msText(middle(s.Empty)), msText(s.Empty[0]), "", "")
		row("idle memory", mb(s.Idle), "", "< "+mb(goalIdle), met(s.Idle < goalIdle))
		row("memory under load, at most", mb(s.Loaded), "", "< "+mb(goalLoaded), met(s.Loaded < goalLoaded))
	}
	if err := w.Flush(); err != nil {
		return err
	}

	w = tabwriter.NewWriter(&b, 0, 4, 2, ' ', tabwriter.AlignRight)
	for _, part := range []struct {
		title string
		runs  func(StoreResult) []Run
		goal  float64
		cpu   float64
	}{
		{"silent single sign-on: authorize, token", func(s StoreResult) []Run { return s.Silent }, goalSilent, goalCPU},
		{"full journey by simple authentication", func(s StoreResult) []Run { return s.Journey }, goalJourney, 0},
	} {
		fmt.Fprintf(w, "\n%s\n", part.title)
		row("", "a second", "best", "p50 ms", "p99 ms", "CPU ms each: service", "in signatures", "driver", "providers", "PostgreSQL", "Redis", "others", "alone, about", "")
		for _, s := range r.Stores {
			runs := part.runs(s)
			if len(runs) == 0 {
				continue
			}
			m, best := typical(runs), slices.MaxFunc(runs, func(a, b Run) int { return cmp.Compare(a.PerSecond(), b.PerSecond()) })
			goal := "" // belongs to one store
			if s.Store == PostgresRedis {
				reached := m.PerSecond() >= part.goal && (part.cpu == 0 || m.CPU(m.Spent.Broker) <= part.cpu)
				goal = fmt.Sprintf("  goal %.0f", part.goal)
				if part.cpu > 0 {
					goal += fmt.Sprintf(" at %.1f", part.cpu)
				}
				goal += ": " + met(reached)
			}
			row(names[s.Store], fmt.Sprintf("%.0f", m.PerSecond()), fmt.Sprintf("%.0f", best.PerSecond()),
				fmt.Sprintf("%.1f", ms(m.P50)), fmt.Sprintf("%.1f", ms(m.P99)),
				fmt.Sprintf("%.2f", m.CPU(m.Spent.Broker)), fmt.Sprintf("%.1f", m.CPU(m.Spent.Broker)/ms(r.ES256)),
				fmt.Sprintf("%.2f", m.CPU(m.Spent.Driver)), fmt.Sprintf("%.2f", m.CPU(m.Spent.Providers)),
				fmt.Sprintf("%.2f", m.CPU(m.Spent.Postgres)), fmt.Sprintf("%.2f", m.CPU(m.Spent.Redis)),
				fmt.Sprintf("%.0f%%", 100*m.Others), fmt.Sprintf("%.0f", m.Alone()), goal)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range r.Stores {
		fmt.Fprintf(&b, "\n%s: %d logins were answered; the audit trail holds %d events and verifies", names[s.Store], s.LoginsTotal, s.Recorded)
	}
	b.WriteString("\n")
	_, err := io.WriteString(out, b.String())
	return err
}

// typical is the run with the median rate, the lower one of two.
func typical(runs []Run) Run {
	sorted := slices.SortedFunc(slices.Values(runs), func(a, b Run) int { return cmp.Compare(a.PerSecond(), b.PerSecond()) })
	return sorted[(len(sorted)-1)/2]
}

// middle is the median of sorted times, the greater one of two.
func middle(sorted []time.Duration) time.Duration { return sorted[len(sorted)/2] }

func ms(d time.Duration) float64    { return d.Seconds() * 1000 }
func msText(d time.Duration) string { return fmt.Sprintf("%.0f ms", ms(d)) }
func mb(bytes int64) string         { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
func met(reached bool) string {
	if reached {
		return "met"
	}
	return "missed"
}
