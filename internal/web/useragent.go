package web

import (
	"net/http"

	"github.com/mileusna/useragent"
)

// maxUserAgent is how much of a User-Agent is looked at; real ones are shorter.
const maxUserAgent = 512

// The browsers and systems that Browser names, by what the parser calls them.
var (
	browserNames = map[string]string{
		useragent.Chrome: "Chrome", useragent.HeadlessChrome: "Chrome", useragent.Firefox: "Firefox", useragent.Safari: "Safari",
		useragent.MobileSafari: "Safari", useragent.Edge: "Edge", useragent.Opera: "Opera", useragent.OperaMini: "Opera",
		useragent.OperaTouch: "Opera", useragent.Vivaldi: "Vivaldi", useragent.SamsungBrowser: "Samsung Internet",
		useragent.InternetExplorer: "Internet Explorer", "Whale": "Naver Whale",
	}
	systemNames = map[string]string{
		useragent.Windows: "Windows", useragent.MacOS: "macOS", useragent.Linux: "Linux", useragent.Android: "Android",
		useragent.IOS: "iOS", useragent.ChromeOS: "ChromeOS", useragent.FreeBSD: "FreeBSD", useragent.Harmony: "HarmonyOS",
	}
)

// Browser says which browser a request comes from, so that a citizen recognises it: "Chrome, Windows", or one of the
// two, or "". What it says is the client's word, and made of known names only: nothing of the header itself comes
// through.
func Browser(r *http.Request) string {
	header := r.UserAgent()
	parsed := useragent.Parse(header[:min(len(header), maxUserAgent)])
	name, system := browserNames[parsed.Name], systemNames[parsed.OS]
	if name != "" && system != "" {
		return name + ", " + system
	}
	return name + system
}
