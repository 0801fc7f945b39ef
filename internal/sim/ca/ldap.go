package ca

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"

	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// Limits of the directory.
const (
	maxMessage     = 8 << 10 // bytes of a request; a search for a list has about 150
	maxConnections = 64      // at once; more wait
	maxRequests    = 1000    // of one connection
	idle           = 30 * time.Second
)

// ServeLDAP answers on the listener until the context ends. It is the part of an LDAPv3 server (RFC 4511) that
// the authorities' directories are for: an anonymous bind, and a search for one entry with its revocation list.
func (s *Simulator) ServeLDAP(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	room := make(chan struct{}, maxConnections)
	for {
		connection, err := listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = connection.Close()
			}
			return nil
		case err != nil:
			return fmt.Errorf("sim/ca: directory: %w", err)
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			_ = connection.Close()
			return nil
		}
		running.Go(func() {
			defer func() { <-room }()
			stop := context.AfterFunc(ctx, func() { _ = connection.Close() })
			defer stop()
			defer func() { _ = connection.Close() }()
			s.converse(ctx, connection)
		})
	}
}

// converse answers one connection until somebody ends it.
func (s *Simulator) converse(ctx context.Context, connection net.Conn) {
	reader := bufio.NewReader(connection)
	for range maxRequests {
		if connection.SetDeadline(time.Now().Add(idle)) != nil {
			return
		}
		message, err := readMessage(reader)
		if errors.Is(err, errMessage) {
			_, _ = connection.Write(disconnection())
			return
		}
		if err != nil {
			return
		}
		q, err := parseRequest(message)
		if err != nil {
			_, _ = connection.Write(disconnection())
			return
		}
		answers, more := s.reply(ctx, q)
		for _, answer := range answers {
			if _, err := connection.Write(answer.Bytes()); err != nil {
				return
			}
		}
		if !more {
			return
		}
	}
}

// errMessage says that what came is no LDAP message, or one that is too long.
var errMessage = errors.New("sim/ca: not an LDAP message")

// readMessage reads one LDAPMessage, a SEQUENCE of definite length (RFC 4511 §5.1).
func readMessage(r *bufio.Reader) ([]byte, error) {
	head := make([]byte, 2, 6)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	if head[0] != 0x30 {
		return nil, errMessage
	}
	length := int(head[1])
	if length >= 0x80 {
		n := length & 0x7F
		if n == 0 || n > 4 {
			return nil, errMessage
		}
		head = head[:2+n]
		if _, err := io.ReadFull(r, head[2:]); err != nil {
			return nil, err
		}
		length = 0
		for _, b := range head[2:] {
			length = length<<8 | int(b)
		}
	}
	if length > maxMessage {
		return nil, errMessage
	}
	message := make([]byte, len(head)+length)
	copy(message, head)
	if _, err := io.ReadFull(r, message[len(head):]); err != nil {
		return nil, err
	}
	return message, nil
}

// The operations that are known (RFC 4511 §4.2 and after), by their application tags.
const (
	opBind     = 0
	opUnbind   = 2
	opSearch   = 3
	opModify   = 6
	opAdd      = 8
	opDelete   = 10
	opRename   = 12
	opCompare  = 14
	opAbandon  = 16
	opExtended = 23

	searchEntry = opSearch + 1 // every request but this is answered by its own tag and one
)

var operations = []int{opBind, opUnbind, opSearch, opModify, opAdd, opDelete, opRename, opCompare, opAbandon, opExtended}

// The results that are given (RFC 4511 §4.1.9).
const (
	resultSuccess           = 0
	resultProtocolError     = 2
	resultAuthMethod        = 7
	resultCriticalExtension = 12
	resultNoSuchObject      = 32
	resultInvalidCredential = 49
	resultUnavailable       = 52
	resultUnwilling         = 53
)

// ldapRequest is a request. Which fields are set follows from the operation.
type ldapRequest struct {
	id        int64
	operation int
	critical  bool // has a control that may not be ignored

	version   int64  // bind
	name      string // bind
	simple    bool   // bind
	anonymous bool   // bind: with neither name nor password

	base       string   // search
	scope      int64    // search
	typesOnly  bool     // search
	everything bool     // search: the filter is (objectClass=*)
	attributes []string // search
}

// parseRequest reads an LDAPMessage.
func parseRequest(message []byte) (q ldapRequest, err error) {
	if len(message) > maxMessage+6 {
		return q, errMessage
	}
	r := strings.NewReader(string(message))
	p, err := ber.ReadPacket(r)
	if err != nil || r.Len() > 0 {
		return q, errMessage
	}
	parts := p.Children
	if !universal(p, ber.TagSequence) || len(parts) < 2 || len(parts) > 3 || !universal(parts[0], ber.TagInteger) || parts[1].ClassType != ber.ClassApplication {
		return q, errMessage
	}
	q.id, q.operation = number(parts[0]), int(parts[1].Tag)
	if q.id < 0 || q.id > 1<<31-1 || !slices.Contains(operations, q.operation) {
		return q, errMessage
	}
	if len(parts) == 3 {
		for _, control := range parts[2].Children {
			for _, field := range control.Children {
				critical, _ := field.Value.(bool)
				q.critical = q.critical || critical
			}
		}
	}
	fields := parts[1].Children
	switch q.operation {
	case opBind:
		if len(fields) != 3 || !universal(fields[0], ber.TagInteger) || !universal(fields[1], ber.TagOctetString) || fields[2].ClassType != ber.ClassContext {
			return q, errMessage
		}
		q.version, q.name, q.simple = number(fields[0]), text(fields[1]), fields[2].Tag == 0
		q.anonymous = q.simple && q.name == "" && fields[2].Data.Len() == 0
	case opSearch:
		if len(fields) != 8 || !universal(fields[0], ber.TagOctetString) || !universal(fields[1], ber.TagEnumerated) ||
			!universal(fields[5], ber.TagBoolean) || fields[6].ClassType != ber.ClassContext || !universal(fields[7], ber.TagSequence) {
			return q, errMessage
		}
		q.base, q.scope = text(fields[0]), number(fields[1])
		q.typesOnly, _ = fields[5].Value.(bool)
		const present = 7 // Filter ::= CHOICE { …, present [7] AttributeDescription, … }
		q.everything = fields[6].Tag == present && strings.EqualFold(fields[6].Data.String(), "objectClass")
		for _, attribute := range fields[7].Children {
			if !universal(attribute, ber.TagOctetString) {
				return q, errMessage
			}
			q.attributes = append(q.attributes, text(attribute))
		}
	}
	return q, nil
}

func universal(p *ber.Packet, tag ber.Tag) bool {
	return p.ClassType == ber.ClassUniversal && p.Tag == tag && (p.TagType == ber.TypeConstructed) == (tag == ber.TagSequence)
}

func number(p *ber.Packet) int64 {
	n, _ := p.Value.(int64)
	return n
}

func text(p *ber.Packet) string { return p.Data.String() }

// reply answers a request, and says whether the connection goes on.
func (s *Simulator) reply(ctx context.Context, q ldapRequest) (answers []*ber.Packet, more bool) {
	done := func(result int64, why string) ([]*ber.Packet, bool) {
		return []*ber.Packet{envelope(q.id, resultOf(ber.Tag(q.operation+1), result, why))}, true
	}
	switch {
	case q.operation == opUnbind:
		return nil, false
	case q.operation == opAbandon:
		return nil, true
	case q.critical:
		return done(resultCriticalExtension, "no control is known")
	}
	switch q.operation {
	case opBind:
		switch {
		case q.version != 3:
			return done(resultProtocolError, "version 3 is spoken")
		case !q.simple:
			return done(resultAuthMethod, "simple authentication is spoken")
		case !q.anonymous:
			return done(resultInvalidCredential, "the directory is for everybody, anonymously")
		}
		return done(resultSuccess, "")
	case opExtended:
		return done(resultProtocolError, "no extended operation is known")
	case opSearch:
		if q.scope != 0 {
			return done(resultUnwilling, "one entry at a time (baseObject)")
		}
		entry, result := s.lookUp(ctx, q)
		if result == silence {
			return nil, false
		}
		answers, more = done(result, "")
		if entry != nil {
			answers = append([]*ber.Packet{envelope(q.id, entry)}, answers...)
		}
		return answers, more
	}
	return done(resultUnwilling, "the directory is for reading")
}

// silence stands in the place of a result where nobody answers.
const silence = -1

// lists are the attributes that an entry can have (RFC 4523). No entry has a deltaRevocationList: the
// authorities publish complete lists only.
var lists = []string{"certificateRevocationList", "authorityRevocationList"}

// lookUp finds the entry that a search is for; nil where there is none to be given.
func (s *Simulator) lookUp(ctx context.Context, q ldapRequest) (*ber.Packet, int64) {
	var point, attribute string
	var owner *npkitest.Authority
	for _, name := range lists {
		if p, a := s.pki.Entry(q.base + "?" + name); a != nil {
			point, attribute, owner = p, name, a
		}
	}
	if owner == nil {
		return nil, resultNoSuchObject
	}
	keys := []string{opCRL, owner.Organization}
	switch s.disturb(ctx, keys) {
	case cut:
		return nil, silence
	case broken:
		return nil, resultUnavailable
	}
	if !q.everything {
		return nil, resultSuccess // nothing else is known of the entry, so no other filter can match
	}
	attributes := ber.NewSequence("attributes")
	if wanted(q.attributes, attribute) {
		list, err := s.misbehaving(owner, "crl-", keys, func() ([]byte, error) { return s.pki.FetchCRL(ctx, point) })
		switch {
		case errors.Is(err, npkitest.ErrDown):
			return nil, silence
		case err != nil:
			return nil, resultUnavailable
		}
		values := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "vals")
		if !q.typesOnly {
			values.AppendChild(octets(string(list)))
		}
		one := ber.NewSequence("attribute")
		one.AppendChild(octets(attribute + ";binary"))
		one.AppendChild(values)
		attributes.AppendChild(one)
	}
	entry := ber.Encode(ber.ClassApplication, ber.TypeConstructed, searchEntry, nil, "SearchResultEntry")
	entry.AppendChild(octets(q.base))
	entry.AppendChild(attributes)
	return entry, resultSuccess
}

// wanted says whether a search's list of attributes covers the one: by its name, with or without the option
// binary, or because it names none at all.
func wanted(list []string, attribute string) bool {
	for _, name := range list {
		base, _, _ := strings.Cut(name, ";")
		if base == "*" || strings.EqualFold(base, attribute) {
			return true
		}
	}
	return len(list) == 0
}

// envelope is an LDAPMessage.
func envelope(id int64, operation *ber.Packet) *ber.Packet {
	p := ber.NewSequence("LDAPMessage")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, "messageID"))
	p.AppendChild(operation)
	return p
}

// resultOf is an operation that is an LDAPResult.
func resultOf(operation ber.Tag, result int64, why string) *ber.Packet {
	if operation == searchEntry {
		operation++ // a search is answered by entries, and then by searchResDone
	}
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, operation, nil, "LDAPResult")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, result, "resultCode"))
	p.AppendChild(octets("")) // matchedDN
	p.AppendChild(octets(why))
	return p
}

// disconnection is the notice that something is wrong beyond an answer (RFC 4511 §4.4.1).
func disconnection() []byte {
	notice := resultOf(opExtended+1, resultProtocolError, "no LDAP message, or one that is too long")
	notice.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 10, "1.3.6.1.4.1.1466.20036", "responseName"))
	return envelope(0, notice).Bytes()
}

func octets(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}
