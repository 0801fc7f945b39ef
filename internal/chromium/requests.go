package chromium

import (
	"fmt"
	"slices"

	"github.com/chromedp/cdproto/network"
)

// Request is one request of a browser, as the network log of the developer tools has it.
type Request struct {
	Method string
	URL    string   // with the fragment, though that stays in the browser
	Header []string // "name: value": as the page asked, and as it was sent, with those of its redirects
	Body   []byte
	Untold bool // it has a body that the log does not tell, as with files in forms
}

// maxBody is how long a body may be to be told, in bytes.
const maxBody int64 = 64 << 20

type recorded struct {
	Request
	id network.RequestID
}

// Requests lists what the browser has asked for so far, in all tabs and frames of its pages' sites.
// Without Options.Record there is nothing.
func (b *Browser) Requests() []Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]Request, len(b.requests))
	for i, r := range b.requests {
		list[i] = r.Request
		list[i].Header = slices.Concat(r.Header, b.wire[r.id])
		list[i].Untold = r.Untold && !slices.Contains(b.wire[r.id], "Content-Length: 0")
	}
	return list
}

func (b *Browser) record(e *network.EventRequestWillBeSent) {
	if !b.options.Record {
		return
	}
	r := &recorded{id: e.RequestID, Request: Request{Method: e.Request.Method, URL: e.Request.URL + e.Request.URLFragment, Header: fields(e.Request.Headers)}}
	for _, part := range e.Request.PostDataEntries {
		r.Body = append(r.Body, part.Bytes...)
		r.Untold = r.Untold || len(part.Bytes) == 0
	}
	r.Untold = r.Untold || e.Request.HasPostData && len(r.Body) == 0
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests = append(b.requests, r)
}

// recordHeaders keeps the fields that the browser itself adds, such as cookies.
func (b *Browser) recordHeaders(e *network.EventRequestWillBeSentExtraInfo) {
	if !b.options.Record {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wire[e.RequestID] = append(b.wire[e.RequestID], fields(e.Headers)...)
}

func fields(headers network.Headers) []string {
	list := make([]string, 0, len(headers))
	for name, value := range headers {
		list = append(list, fmt.Sprintf("%s: %v", name, value))
	}
	return list
}
