package strict

import (
	"net/netip"
	"net/url"
	"strings"
)

// maxURL is how long an address may be, in bytes.
const maxURL = 2048

// WebURL says whether a text is an absolute https URL without user and fragment. On the loopback, where no TLS is
// needed, it may be http.
func WebURL(text string) bool {
	if len(text) > maxURL || strings.ContainsAny(text, "#") {
		return false
	}
	uri, err := url.Parse(text)
	if err != nil || uri.Hostname() == "" || uri.User != nil || uri.Opaque != "" {
		return false
	}
	return uri.Scheme == "https" || uri.Scheme == "http" && loopback(uri.Hostname())
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}
