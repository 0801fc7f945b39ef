package pages

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/chromium"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// BenchmarkFirstSignature is the signer of the joint certificate's page in a browser that has never seen it: what
// comes over the wire, how long it takes until it runs, and how long from the button to the signatures. Then the same
// page once more, from the browser's cache. Each is the median.
func BenchmarkFirstSignature(b *testing.B) {
	pki := npkitest.New(npkitest.Options{})
	c := newCitizen(b, pki)
	s := newSignerPage(b, pki, 5*time.Minute)
	var wire, ready, signature, again []float64
	for b.Loop() {
		tab := chromium.New(b, chromium.Options{Hosts: []string{s.host}}).Tab()
		number := func(expression string) float64 {
			value, err := strconv.ParseFloat(tab.Value(expression), 64)
			if err != nil {
				b.Fatal(err)
			}
			return value
		}
		open := func() float64 {
			tab.Open(s.base)
			await(b, tab, "cert-state", "준비되었습니다.")
			return number(`performance.getEntriesByName("signer-ready")[0].startTime`)
		}
		ready = append(ready, open())
		wire = append(wire, number(`performance.getEntriesByType("resource").find(e => e.name.includes("signer")).transferSize`))
		tab.Upload("cert-files", c.p12)
		await(b, tab, "cert-entries", "비밀번호를 넣으면 보입니다.")
		tab.Fill("cert-password", signPassword)
		// The page stays, so that its marks do.
		tab.Value(`(at => {
			at("cert-form").submit = () => document.body.append(Object.assign(document.createElement("p"), {id: "sent"}));
			at("cert-form").addEventListener("submit", () => performance.mark("pressed"), true);
		})(id => document.getElementById(id))`)
		tab.Click("cert-sign")
		tab.Wait("sent")
		signature = append(signature, number(`performance.getEntriesByName("signed")[0].startTime - performance.getEntriesByName("pressed")[0].startTime`))
		again = append(again, open())
		tab.Close()
	}
	median := func(values []float64) float64 {
		slices.Sort(values)
		return values[len(values)/2]
	}
	b.ReportMetric(0, "ns/op") // most of it is the person's
	b.ReportMetric(median(wire)/1000, "kB-wire")
	b.ReportMetric(median(ready), "ms-until-ready")
	b.ReportMetric(median(signature), "ms-to-sign")
	b.ReportMetric(median(again), "ms-until-ready-again")
}
