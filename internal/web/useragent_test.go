package web

import (
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func browserOf(header string) string {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("User-Agent", header)
	return Browser(r)
}

func TestBrowser(t *testing.T) {
	t.Parallel()
	const webkit = "AppleWebKit/537.36 (KHTML, like Gecko) "
	for header, want := range map[string]string{
		"": "",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + webkit + "Chrome/140.0.0.0 Safari/537.36":                                                         "Chrome, Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + webkit + "Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0":                                           "Edge, Windows",
		"Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko":                                                                          "Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + webkit + "Chrome/138.0.0.0 Whale/4.33.325.17 Safari/537.36":                                       "Naver Whale, Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:142.0) Gecko/20100101 Firefox/142.0":                                                               "Firefox, Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15":                          "Safari, macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1":        "Safari, iOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0.7339.39 Mobile/15E148 Safari/604.1": "Chrome, iOS",
		"Mozilla/5.0 (Linux; Android 10; K) " + webkit + "Chrome/140.0.0.0 Mobile Safari/537.36":                                                         "Chrome, Android",
		"Mozilla/5.0 (Linux; Android 10; K) " + webkit + "SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36":                                     "Samsung Internet, Android",
		"Mozilla/5.0 (Linux; Android 15; SM-S931N; wv) " + webkit + "Version/4.0 Chrome/139.0.7258.143 Mobile Safari/537.36;KAKAOTALK 2409100":           "Chrome, Android",
		"Mozilla/5.0 (X11; Linux x86_64) " + webkit + "HeadlessChrome/140.0.0.0 Safari/537.36":                                                           "Chrome, Linux",
		"Mozilla/5.0 (X11; CrOS x86_64 16181.61.0) " + webkit + "Chrome/140.0.0.0 Safari/537.36":                                                         "Chrome, ChromeOS",
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)":                                                                       "",
		"Go-http-client/1.1": "",
		"curl/8.14.1":        "",
		"홍길동/1.0 (Windows NT 10.0) <script>":            "Windows",
		strings.Repeat("x", 600) + " (Windows NT 10.0)": "",
	} {
		if got := browserOf(header); got != want {
			t.Errorf("%q is %q, want %q", header, got, want)
		}
	}
}

// FuzzBrowser: whatever is sent, what comes out is made of known names.
func FuzzBrowser(f *testing.F) {
	for _, seed := range []string{
		"", "Mozilla/5.0 (Windows NT 10.0) Chrome/1 Safari/1", "Firefox/1 (Linux; Android 9; 홍길동)", "A/1 Chrome/1 Safari/1", "(((;;/ //1", "Mozilla/5.0 (iPhone) \xff\x00",
	} {
		f.Add(seed)
	}
	known := []string{""}
	for _, system := range append(slices.Sorted(maps.Values(systemNames)), "") {
		for _, name := range append(slices.Sorted(maps.Values(browserNames)), "") {
			known = append(known, name+system, name+", "+system)
		}
	}
	f.Fuzz(func(t *testing.T, header string) {
		if got := browserOf(header); !slices.Contains(known, got) {
			t.Errorf("%q is %q", header, got)
		}
	})
}
