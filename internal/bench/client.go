package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// client is the least browser that the journey needs: HTTP/1.1 on one connection that stays open, with
// cookies. It shares two processors with the service that it measures, so it does no more than that.
type client struct {
	host    string     // host:port
	from    netip.Addr // address of one's own, as citizens have
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
	body    []byte
	cookies []cookie
}

type cookie struct {
	name, value string
	lasting     bool // beyond the browser's end
}

// answer is valid until the next request.
type answer struct {
	status   int
	location string
	body     []byte
}

const (
	timeout   = 30 * time.Second // of one request; the service's own limits are shorter
	maxAnswer = 1 << 20
)

// connect opens a new connection in place of any that there is: the service closes idle ones.
func (c *client) connect() error {
	c.close()
	dialer := net.Dialer{Timeout: timeout, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.from, 0))}
	conn, err := dialer.Dial("tcp", c.host)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	c.conn, c.reader = conn, bufio.NewReaderSize(conn, 16<<10)
	return nil
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
	}
}

// quit ends the browser, which forgets the cookies of its session.
func (c *client) quit() {
	c.cookies = slices.DeleteFunc(c.cookies, func(k cookie) bool { return !k.lasting })
}

func (c *client) get(path string) (answer, error) { return c.do("GET", path, "", "") }

// post sends a form. authorization is the header of a site, which has no cookies; empty for a browser.
func (c *client) post(path, form, authorization string) (answer, error) {
	return c.do("POST", path, form, authorization)
}

func (c *client) do(verb, path, form, authorization string) (answer, error) {
	b := c.request[:0]
	b = append(b, verb...)
	b = append(b, ' ')
	b = append(b, path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, c.host...)
	if authorization != "" {
		b = append(b, "\r\nAuthorization: "...)
		b = append(b, authorization...)
	} else {
		b = append(b, "\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) anyid-bench\r\nAccept: text/html,application/xhtml+xml,*/*;q=0.8"+
			"\r\nAccept-Language: ko-KR,ko;q=0.9,en;q=0.5\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Site: same-origin"...)
		for i, k := range c.cookies {
			if i == 0 {
				b = append(b, "\r\nCookie: "...)
			} else {
				b = append(b, "; "...)
			}
			b = append(append(append(b, k.name...), '='), k.value...)
		}
	}
	if verb == "POST" {
		b = append(b, "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(form)), 10)
	}
	b = append(append(b, "\r\n\r\n"...), form...)
	c.request = b
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return answer{}, fmt.Errorf("bench: %w", err)
	}
	if _, err := c.conn.Write(b); err != nil {
		return answer{}, fmt.Errorf("bench: %s: %w", verb, err)
	}
	a, err := c.read(authorization == "")
	if err != nil {
		return answer{}, fmt.Errorf("bench: answer: %w", err)
	}
	return a, nil
}

// read reads one answer (RFC 9112), and its cookies if it is a browser's.
func (c *client) read(browser bool) (a answer, err error) {
	line, err := c.line()
	if err != nil {
		return a, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return a, errors.New("no status line")
	}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return a, err
	}
	length, chunked := 0, false
	for {
		if line, err = c.line(); err != nil {
			return a, err
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch string(name) { // as net/http writes them
		case "Content-Length":
			if length, err = strconv.Atoi(string(value)); err != nil {
				return a, err
			}
		case "Transfer-Encoding":
			chunked = true
		case "Location":
			a.location = string(value)
		case "Set-Cookie":
			if browser {
				c.keep(string(value))
			}
		}
	}
	c.body = c.body[:0]
	if !chunked {
		err = c.take(length)
		a.body = c.body
		return a, err
	}
	for {
		if line, err = c.line(); err != nil {
			return a, err
		}
		size, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			return a, err
		}
		if err := c.take(int(size)); err != nil {
			return a, err
		}
		if _, err := c.line(); err != nil {
			return a, err
		}
		if size == 0 {
			a.body = c.body
			return a, nil
		}
	}
}

// line returns the next line without its end.
func (c *client) line() ([]byte, error) {
	line, err := c.reader.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}

// take appends n bytes to the body.
func (c *client) take(n int) error {
	have := len(c.body)
	if n < 0 || have+n > maxAnswer {
		return errors.New("too large")
	}
	c.body = append(c.body, make([]byte, n)...)
	_, err := io.ReadFull(c.reader, c.body[have:])
	return err
}

// keep stores a cookie, or replaces the one of that name.
func (c *client) keep(header string) {
	pair, attributes, _ := strings.Cut(header, ";")
	name, value, ok := strings.Cut(pair, "=")
	if !ok {
		return
	}
	k := cookie{name, value, strings.Contains(attributes, "Max-Age=")}
	for i := range c.cookies {
		if c.cookies[i].name == name {
			c.cookies[i] = k
			return
		}
	}
	c.cookies = append(c.cookies, k)
}
