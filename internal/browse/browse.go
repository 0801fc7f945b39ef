// Package browse is a browser without scripts: it follows links and redirects, keeps cookies, fills in
// forms and presses buttons by their ids. The demonstration prepares people with it and end-to-end tests
// walk with it, so whatever it can do works without JavaScript.
package browse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// Browser is one browser with its cookies and the page that it shows. It is not safe for concurrent
// use.
type Browser struct {
	client http.Client
	page   *html.Node
	url    *url.URL
	status int
}

// maxPage bounds what is read of a page.
const maxPage = 4 << 20

// New returns a browser without cookies that connects as the client does.
func New(client *http.Client) (*Browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("browse: %w", err)
	}
	own := *client
	own.Jar = jar
	return &Browser{client: own}, nil
}

// URL is the address of the page after all redirects.
func (b *Browser) URL() *url.URL { return b.url }

// Status is the HTTP status of the page.
func (b *Browser) Status() int { return b.status }

// Cookies are the cookies that would be sent to the address.
func (b *Browser) Cookies(u *url.URL) []*http.Cookie { return b.client.Jar.Cookies(u) }

// Open shows the page at the address, as typed into the address bar.
func (b *Browser) Open(ctx context.Context, address string) error {
	return b.load(ctx, http.MethodGet, address, nil)
}

func (b *Browser) load(ctx context.Context, method, address string, form url.Values) error {
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return fmt.Errorf("browse: %w", err)
	}
	req.Header.Set("Accept", "text/html")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if b.url != nil {
			req.Header.Set("Origin", b.url.Scheme+"://"+b.url.Host)
		}
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return fmt.Errorf("browse: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	page, err := html.Parse(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		return fmt.Errorf("browse: %w", err)
	}
	b.page, b.url, b.status = page, resp.Request.URL, resp.StatusCode
	return nil
}

// Has reports whether the page has an element with the id.
func (b *Browser) Has(id string) bool { return b.element(id) != nil }

// Text is the text of the element with the id, white space folded; empty if there is none.
func (b *Browser) Text(id string) string {
	n := b.element(id)
	if n == nil {
		return ""
	}
	return text(n)
}

// Attribute is the value of an attribute of the element with the id; empty if there is none.
func (b *Browser) Attribute(id, name string) string {
	n := b.element(id)
	if n == nil {
		return ""
	}
	return get(n, name)
}

// Title is the page's title.
func (b *Browser) Title() string {
	n := find(b.page, func(n *html.Node) bool { return n.Type == html.ElementNode && n.Data == "title" })
	if n == nil {
		return ""
	}
	return text(n)
}

func text(n *html.Node) string {
	var s strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			s.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(s.String()), " ")
}

// Fill types the value into the field with the id.
func (b *Browser) Fill(id, value string) error {
	n := b.element(id)
	if n == nil || (n.Data != "input" && n.Data != "textarea") {
		return b.missing("field", id)
	}
	set(n, "value", value)
	return nil
}

// Check ticks the box or radio button with the id; others of its group are cleared.
func (b *Browser) Check(id string) error {
	n := b.element(id)
	if n == nil || n.Data != "input" {
		return b.missing("box", id)
	}
	if get(n, "type") == "radio" {
		for d := range b.page.Descendants() {
			if d.Data == "input" && get(d, "type") == "radio" && get(d, "name") == get(n, "name") {
				d.Attr = slices.DeleteFunc(d.Attr, func(a html.Attribute) bool { return a.Key == "checked" })
			}
		}
	}
	set(n, "checked", "")
	return nil
}

// Click follows the link or presses the button with the id.
func (b *Browser) Click(ctx context.Context, id string) error {
	n := b.element(id)
	switch {
	case n == nil:
		return b.missing("link or button", id)
	case n.Data == "a":
		return b.follow(ctx, http.MethodGet, get(n, "href"), nil)
	}
	form := b.formOf(n)
	if form == nil {
		return b.missing("form of button", id)
	}
	values := b.values(form)
	if name := get(n, "name"); name != "" {
		values.Add(name, get(n, "value"))
	}
	action := get(form, "action")
	if own := get(n, "formaction"); own != "" {
		action = own
	}
	if strings.EqualFold(get(form, "method"), http.MethodPost) {
		return b.follow(ctx, http.MethodPost, action, values)
	}
	return b.follow(ctx, http.MethodGet, action+"?"+values.Encode(), nil)
}

// Send submits the form with the id as a script of the page would, which has set some of its fields.
func (b *Browser) Send(ctx context.Context, id string, fields map[string]string) error {
	form := b.element(id)
	if form == nil || form.Data != "form" || !strings.EqualFold(get(form, "method"), http.MethodPost) {
		return b.missing("form", id)
	}
	values := b.values(form)
	for name, value := range fields {
		values.Set(name, value)
	}
	return b.follow(ctx, http.MethodPost, get(form, "action"), values)
}

// follow resolves the address against the page's.
func (b *Browser) follow(ctx context.Context, method, address string, form url.Values) error {
	target, err := b.url.Parse(address)
	if err != nil {
		return fmt.Errorf("browse: %w", err)
	}
	return b.load(ctx, method, target.String(), form)
}

// formOf is the form that the control belongs to: by its form attribute, or around it.
func (b *Browser) formOf(n *html.Node) *html.Node {
	if id := get(n, "form"); id != "" {
		return b.element(id)
	}
	for p := n.Parent; p != nil; p = p.Parent {
		if p.Data == "form" {
			return p
		}
	}
	return nil
}

// values are the form's successful controls without its buttons (HTML, constructing the entry list).
func (b *Browser) values(form *html.Node) url.Values {
	values := make(url.Values)
	for n := range b.page.Descendants() {
		if n.Type != html.ElementNode || get(n, "name") == "" || b.formOf(n) != form {
			continue
		}
		switch {
		case n.Data == "textarea":
			values.Add(get(n, "name"), get(n, "value"))
		case n.Data != "input" || get(n, "type") == "submit" || get(n, "type") == "file":
		case get(n, "type") == "radio" || get(n, "type") == "checkbox":
			if has(n, "checked") {
				values.Add(get(n, "name"), get(n, "value"))
			}
		default:
			values.Add(get(n, "name"), get(n, "value"))
		}
	}
	return values
}

func (b *Browser) element(id string) *html.Node {
	return find(b.page, func(n *html.Node) bool { return n.Type == html.ElementNode && get(n, "id") == id })
}

func find(root *html.Node, match func(*html.Node) bool) *html.Node {
	if root == nil {
		return nil
	}
	for n := range root.Descendants() {
		if match(n) {
			return n
		}
	}
	return nil
}

func get(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, key string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key })
}

func set(n *html.Node, key, value string) {
	for i := range n.Attr {
		if n.Attr[i].Key == key {
			n.Attr[i].Val = value
			return
		}
	}
	n.Attr = append(n.Attr, html.Attribute{Key: key, Val: value})
}

// ErrMissing says that the page has no such element.
var ErrMissing = errors.New("browse: not on this page")

func (b *Browser) missing(what, id string) error {
	at := "no page"
	if b.url != nil {
		at = fmt.Sprintf("%s (%d, %q)", b.url.Path, b.status, b.Title())
	}
	return fmt.Errorf("%w: %s %q at %s", ErrMissing, what, id, at)
}
