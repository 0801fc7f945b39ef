package certificate

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// directory is an LDAP server (RFC 4511) for one search on each connection.
type directory struct {
	t        testing.TB
	listener net.Listener
	// answer gives the messages that answer a search for an attribute of an entry.
	answer func(id int64, dn, attribute string) []*ber.Packet
}

func newDirectory(t testing.TB) *directory {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &directory{t: t, listener: listener}
	var running sync.WaitGroup
	t.Cleanup(func() { _ = listener.Close(); running.Wait() })
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { d.serve(conn) })
		}
	})
	return d
}

func (d *directory) address() string { return d.listener.Addr().String() }

func (d *directory) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	for {
		packet, err := ber.ReadPacket(conn)
		if err != nil || len(packet.Children) < 2 || packet.Children[1].Tag != 3 { // else an unbind, or an end
			return
		}
		id, _ := packet.Children[0].Value.(int64)
		search := packet.Children[1].Children
		dn, _ := search[0].Value.(string)
		attribute, _ := search[7].Children[0].Value.(string)
		for _, p := range d.answer(id, dn, attribute) {
			if _, err := conn.Write(p.Bytes()); err != nil {
				return
			}
		}
	}
}

func message(id int64, op *ber.Packet) *ber.Packet {
	p := ber.NewSequence("LDAPMessage")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	p.AppendChild(op)
	return p
}

func text(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

// found is a SearchResultEntry with one attribute.
func found(id int64, dn, attribute string, values ...string) *ber.Packet {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, 4, nil, "")
	op.AppendChild(text(dn))
	set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
	for _, v := range values {
		set.AppendChild(text(v))
	}
	one, all := ber.NewSequence(""), ber.NewSequence("")
	one.AppendChild(text(attribute))
	one.AppendChild(set)
	all.AppendChild(one)
	op.AppendChild(all)
	return message(id, op)
}

// done is a SearchResultDone, with referrals where there are some.
func done(id, code int64, referrals ...string) *ber.Packet {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, 5, nil, "")
	op.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
	op.AppendChild(text(""))
	op.AppendChild(text(""))
	if len(referrals) > 0 {
		list := ber.Encode(ber.ClassContext, ber.TypeConstructed, 3, nil, "")
		for _, r := range referrals {
			list.AppendChild(text(r))
		}
		op.AppendChild(list)
	}
	return message(id, op)
}

// lists answers with what fetch gives for the URL of the entry.
func (d *directory) lists(fetch func(ctx context.Context, url string) ([]byte, error)) {
	d.answer = func(id int64, dn, attribute string) []*ber.Packet {
		name, _, _ := strings.Cut(attribute, ";")
		raw, err := fetch(context.Background(), "ldap://"+d.address()+"/"+dn+"?"+name)
		if err != nil {
			return []*ber.Packet{done(id, 32)} // noSuchObject
		}
		return []*ber.Packet{found(id, dn, attribute, string(raw)), done(id, 0)}
	}
}
