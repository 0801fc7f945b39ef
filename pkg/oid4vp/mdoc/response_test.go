package mdoc_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc"
)

// What a wallet, or whoever stands in between, could put around and into what the issuer has signed.
func TestResponseRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	good := w.present(t, w.credential, nil)
	if _, err := mdoc.Verify(good, w.want(t)); err != nil {
		t.Fatal(err)
	}
	const (
		doc, issuer, device = "documents", "issuerSigned", "deviceSigned"
	)
	first := func(r *item) *item { return r.at(doc, 0, issuer, "nameSpaces", mDLNamespace, 0) }
	for name, c := range map[string]struct {
		edit func(*item)
		code oid4vp.Code
	}{
		"indefinite map":              {func(r *item) { r.indefinite = true }, oid4vp.ErrMalformed},
		"indefinite array":            {func(r *item) { r.at(doc).indefinite = true }, oid4vp.ErrMalformed},
		"indefinite text":             {func(r *item) { r.at("version").indefinite = true }, oid4vp.ErrMalformed},
		"indefinite namespaces":       {func(r *item) { r.at(doc, 0, issuer, "nameSpaces").indefinite = true }, oid4vp.ErrMalformed},
		"indefinite element bytes":    {func(r *item) { first(r).at(0).indefinite = true }, oid4vp.ErrMalformed},
		"indefinite element":          {func(r *item) { first(r).embedded(func(i *item) { i.indefinite = true }) }, oid4vp.ErrMalformed},
		"indefinite issuerAuth":       {func(r *item) { r.at(doc, 0, issuer, "issuerAuth").indefinite = true }, oid4vp.ErrMalformed},
		"indefinite deviceNameSpaces": {func(r *item) { r.at(doc, 0, device, "nameSpaces").embedded(func(i *item) { i.indefinite = true }) }, oid4vp.ErrMalformed},
		"duplicate in response":       {func(r *item) { r.add("status", number(0)) }, oid4vp.ErrMalformed},
		"duplicate in document":       {func(r *item) { d := r.at(doc, 0); d.add("docType", d.at("docType")) }, oid4vp.ErrMalformed},
		"duplicate in issuerSigned":   {func(r *item) { d := r.at(doc, 0, issuer); d.add("issuerAuth", d.at("issuerAuth")) }, oid4vp.ErrMalformed},
		"duplicate namespace":         {func(r *item) { d := r.at(doc, 0, issuer, "nameSpaces"); d.add(mDLNamespace, d.at(mDLNamespace)) }, oid4vp.ErrMalformed},
		"duplicate in element":        {func(r *item) { first(r).embedded(func(i *item) { i.add("digestID", number(0)) }) }, oid4vp.ErrMalformed},
		"duplicate in deviceSigned":   {func(r *item) { d := r.at(doc, 0, device); d.add("deviceAuth", d.at("deviceAuth")) }, oid4vp.ErrMalformed},
		"duplicate in deviceAuth": {func(r *item) {
			d := r.at(doc, 0, device, "deviceAuth")
			d.add("deviceSignature", d.at("deviceSignature"))
		}, oid4vp.ErrMalformed},
		"unknown in response":      {func(r *item) { r.add("zkDocuments", list()) }, oid4vp.ErrMalformed},
		"other case in response":   {func(r *item) { r.add("Status", number(0)) }, oid4vp.ErrMalformed},
		"unknown in document":      {func(r *item) { r.at(doc, 0).add("x", number(0)) }, oid4vp.ErrMalformed},
		"unknown in issuerSigned":  {func(r *item) { r.at(doc, 0, issuer).add("x", number(0)) }, oid4vp.ErrMalformed},
		"unknown in deviceSigned":  {func(r *item) { r.at(doc, 0, device).add("x", number(0)) }, oid4vp.ErrMalformed},
		"unknown in deviceAuth":    {func(r *item) { r.at(doc, 0, device, "deviceAuth").add("x", number(0)) }, oid4vp.ErrMalformed},
		"unknown in element":       {func(r *item) { first(r).embedded(func(i *item) { i.add("x", number(0)) }) }, oid4vp.ErrMalformed},
		"number as key":            {func(r *item) { r.items = append(r.items, number(0), number(0)) }, oid4vp.ErrMalformed},
		"no version":               {func(r *item) { r.remove("version") }, oid4vp.ErrMalformed},
		"version null":             {func(r *item) { r.set("version", null()) }, oid4vp.ErrMalformed},
		"version a number":         {func(r *item) { r.set("version", number(1)) }, oid4vp.ErrMalformed},
		"version 2.0":              {func(r *item) { r.set("version", text("2.0")) }, oid4vp.ErrUnsupported},
		"no status":                {func(r *item) { r.remove("status") }, oid4vp.ErrMalformed},
		"status null":              {func(r *item) { r.set("status", null()) }, oid4vp.ErrMalformed},
		"status 10":                {func(r *item) { r.set("status", number(10)) }, oid4vp.ErrQuery},
		"documentErrors":           {func(r *item) { r.add("documentErrors", list(dict(text(mDL), number(0)))) }, oid4vp.ErrQuery},
		"documentErrors null":      {func(r *item) { r.add("documentErrors", null()) }, oid4vp.ErrQuery},
		"errors of the document":   {func(r *item) { r.at(doc, 0).add("errors", dict()) }, oid4vp.ErrQuery},
		"no documents":             {func(r *item) { r.remove(doc) }, oid4vp.ErrQuery},
		"documents null":           {func(r *item) { r.set(doc, null()) }, oid4vp.ErrMalformed},
		"documents empty":          {func(r *item) { r.set(doc, list()) }, oid4vp.ErrMalformed},
		"two documents":            {func(r *item) { r.set(doc, list(r.at(doc, 0), r.at(doc, 0))) }, oid4vp.ErrQuery},
		"document not a map":       {func(r *item) { r.set(doc, list(number(0))) }, oid4vp.ErrMalformed},
		"no docType":               {func(r *item) { r.at(doc, 0).remove("docType") }, oid4vp.ErrMalformed},
		"other docType":            {func(r *item) { r.at(doc, 0).set("docType", text("org.iso.23220.photoid.1")) }, oid4vp.ErrQuery},
		"no issuerSigned":          {func(r *item) { r.at(doc, 0).remove(issuer) }, oid4vp.ErrMalformed},
		"no issuerAuth":            {func(r *item) { r.at(doc, 0, issuer).remove("issuerAuth") }, oid4vp.ErrMalformed},
		"issuerAuth null":          {func(r *item) { r.at(doc, 0, issuer).set("issuerAuth", null()) }, oid4vp.ErrMalformed},
		"issuerAuth tagged":        {func(r *item) { a := r.at(doc, 0, issuer); a.set("issuerAuth", tagged(18, a.at("issuerAuth"))) }, oid4vp.ErrMalformed},
		"no payload":               {func(r *item) { r.at(doc, 0, issuer, "issuerAuth").items[2] = null() }, oid4vp.ErrMalformed},
		"payload of another type":  {func(r *item) { r.at(doc, 0, issuer, "issuerAuth").items[2] = text("x") }, oid4vp.ErrMalformed},
		"no issuer signature":      {func(r *item) { r.at(doc, 0, issuer, "issuerAuth", 3).content = nil }, oid4vp.ErrMalformed},
		"short issuer signature":   {func(r *item) { s := r.at(doc, 0, issuer, "issuerAuth", 3); s.content = s.content[:63] }, oid4vp.ErrSignature},
		"altered issuer signature": {func(r *item) { r.at(doc, 0, issuer, "issuerAuth", 3).content[5] ^= 1 }, oid4vp.ErrSignature},
		"altered MSO":              {func(r *item) { c := r.at(doc, 0, issuer, "issuerAuth", 2).content; c[len(c)-1] ^= 1 }, oid4vp.ErrSignature},
		"fifth part of issuerAuth": {func(r *item) { a := r.at(doc, 0, issuer, "issuerAuth"); a.items = append(a.items, null()) }, oid4vp.ErrMalformed},
		"alg in both headers": {func(r *item) {
			a := r.at(doc, 0, issuer, "issuerAuth", 1)
			a.items = append(a.items, number(1), &item{major: 1, argument: 6})
		}, oid4vp.ErrMalformed},
		"no x5chain": {func(r *item) { r.at(doc, 0, issuer, "issuerAuth").items[1] = dict() }, oid4vp.ErrMissing},
		"x5chain twice": {func(r *item) {
			h := r.at(doc, 0, issuer, "issuerAuth", 1)
			h.items = append(h.items, h.items...)
		}, oid4vp.ErrMalformed},
		"x5chain text":  {func(r *item) { r.at(doc, 0, issuer, "issuerAuth").items[1] = dict(number(33), text("x")) }, oid4vp.ErrMalformed},
		"x5chain empty": {func(r *item) { r.at(doc, 0, issuer, "issuerAuth").items[1] = dict(number(33), list()) }, oid4vp.ErrMalformed},
		"x5chain of numbers": {func(r *item) {
			r.at(doc, 0, issuer, "issuerAuth").items[1] = dict(number(33), list(number(0), number(0)))
		}, oid4vp.ErrMalformed},
		"x5chain too long":           {func(r *item) { r.at(doc, 0, issuer, "issuerAuth").items[1] = dict(number(33), many(5)) }, oid4vp.ErrTooLarge},
		"certificate garbage":        {func(r *item) { r.at(doc, 0, issuer, "issuerAuth").items[1] = dict(number(33), octets([]byte("x"))) }, oid4vp.ErrMalformed},
		"certificate trailing bytes": {func(r *item) { c := r.at(doc, 0, issuer, "issuerAuth", 1, 1); c.content = append(c.content, 0) }, oid4vp.ErrMalformed},
		"nameSpaces empty":           {func(r *item) { r.at(doc, 0, issuer).set("nameSpaces", dict()) }, oid4vp.ErrMalformed},
		"nameSpaces null":            {func(r *item) { r.at(doc, 0, issuer).set("nameSpaces", null()) }, oid4vp.ErrMalformed},
		"namespace empty":            {func(r *item) { r.at(doc, 0, issuer, "nameSpaces").set(mDLNamespace, list()) }, oid4vp.ErrMalformed},
		"namespace without name":     {func(r *item) { r.at(doc, 0, issuer, "nameSpaces").add("", list(first(r))) }, oid4vp.ErrMalformed},
		"namespace with a long name": {func(r *item) {
			r.at(doc, 0, issuer, "nameSpaces").add(string(bytes.Repeat([]byte("x"), 257)), list(first(r)))
		}, oid4vp.ErrMalformed},
		"namespace not UTF-8":          {func(r *item) { r.at(doc, 0, issuer, "nameSpaces").add("\xff", list(first(r))) }, oid4vp.ErrMalformed},
		"namespace of other's":         {func(r *item) { r.at(doc, 0, issuer, "nameSpaces").add("x", list(first(r))) }, oid4vp.ErrDigest},
		"element without tag":          {func(r *item) { n := r.at(doc, 0, issuer, "nameSpaces", mDLNamespace); n.items[0] = n.at(0, 0) }, oid4vp.ErrMalformed},
		"element with tag 25":          {func(r *item) { first(r).argument = 25 }, oid4vp.ErrMalformed},
		"element with tag 24 twice":    {func(r *item) { n := r.at(doc, 0, issuer, "nameSpaces", mDLNamespace); n.items[0] = tagged(24, n.at(0)) }, oid4vp.ErrMalformed},
		"element with text in the tag": {func(r *item) { first(r).at(0).major = 3 }, oid4vp.ErrMalformed},
		"element with trailing bytes":  {func(r *item) { c := first(r).at(0); c.content = append(c.content, 0) }, oid4vp.ErrMalformed},
		"element empty":                {func(r *item) { first(r).at(0).content = nil }, oid4vp.ErrMalformed},
		"element with a wide tag":      {func(r *item) { first(r).wide = true }, oid4vp.ErrDigest},
		"element with a wide length":   {func(r *item) { first(r).at(0).wide = true }, oid4vp.ErrDigest},
		"element re-encoded":           {func(r *item) { first(r).embedded(func(i *item) { i.at("digestID").wide = true }) }, oid4vp.ErrDigest},
		"element with keys in another order": {func(r *item) {
			first(r).embedded(func(i *item) { i.items = append(i.items[2:], i.items[:2]...) })
		}, oid4vp.ErrDigest},
		"other value":         {func(r *item) { first(r).embedded(func(i *item) { i.set("elementValue", text("김")) }) }, oid4vp.ErrDigest},
		"other name":          {func(r *item) { first(r).embedded(func(i *item) { i.set("elementIdentifier", text("given_name")) }) }, oid4vp.ErrDigest},
		"other digest ID":     {func(r *item) { first(r).embedded(func(i *item) { i.set("digestID", number(9)) }) }, oid4vp.ErrDigest},
		"digest ID null":      {func(r *item) { first(r).embedded(func(i *item) { i.set("digestID", null()) }) }, oid4vp.ErrMalformed},
		"digest ID negative":  {func(r *item) { first(r).embedded(func(i *item) { i.at("digestID").major = 1 }) }, oid4vp.ErrMalformed},
		"digest ID too large": {func(r *item) { first(r).embedded(func(i *item) { i.set("digestID", number(1<<31)) }) }, oid4vp.ErrMalformed},
		"digest ID twice": {func(r *item) {
			n := r.at(doc, 0, issuer, "nameSpaces", mDLNamespace)
			n.items = append(n.items, n.at(0))
		}, oid4vp.ErrDigest},
		"short random":            {func(r *item) { first(r).embedded(func(i *item) { c := i.at("random"); c.content = c.content[:15] }) }, oid4vp.ErrMalformed},
		"no value":                {func(r *item) { first(r).embedded(func(i *item) { i.remove("elementValue") }) }, oid4vp.ErrMalformed},
		"nesting bomb in a value": {func(r *item) { first(r).embedded(func(i *item) { i.set("elementValue", deep(100)) }) }, oid4vp.ErrTooLarge},
		"nesting bomb":            {func(r *item) { r.add("x", deep(100)) }, oid4vp.ErrTooLarge},
		"array bomb":              {func(r *item) { r.set(doc, many(1025)) }, oid4vp.ErrTooLarge},
		"array bomb in a value":   {func(r *item) { first(r).embedded(func(i *item) { i.set("elementValue", many(1025)) }) }, oid4vp.ErrTooLarge},
		"no deviceSigned":         {func(r *item) { r.at(doc, 0).remove(device) }, oid4vp.ErrMalformed},
		"deviceSigned null":       {func(r *item) { r.at(doc, 0).set(device, null()) }, oid4vp.ErrMalformed},
		"no deviceAuth":           {func(r *item) { r.at(doc, 0, device).remove("deviceAuth") }, oid4vp.ErrMalformed},
		"deviceAuth empty":        {func(r *item) { r.at(doc, 0, device).set("deviceAuth", dict()) }, oid4vp.ErrMalformed},
		"deviceSignature null":    {func(r *item) { r.at(doc, 0, device, "deviceAuth").set("deviceSignature", null()) }, oid4vp.ErrMalformed},
		"deviceSignature tagged": {func(r *item) {
			a := r.at(doc, 0, device, "deviceAuth")
			a.set("deviceSignature", tagged(18, a.at("deviceSignature")))
		}, oid4vp.ErrMalformed},
		"signature and MAC":         {func(r *item) { r.at(doc, 0, device, "deviceAuth").add("deviceMac", list()) }, oid4vp.ErrMalformed},
		"deviceSignature's payload": {func(r *item) { r.at(doc, 0, device, "deviceAuth", "deviceSignature").items[2] = octets([]byte("x")) }, oid4vp.ErrMalformed},
		"empty payload":             {func(r *item) { r.at(doc, 0, device, "deviceAuth", "deviceSignature").items[2] = octets(nil) }, oid4vp.ErrMalformed},
		"altered device signature":  {func(r *item) { r.at(doc, 0, device, "deviceAuth", "deviceSignature", 3).content[40] ^= 1 }, oid4vp.ErrKeyBinding},
		"issuer's as device's": {func(r *item) {
			r.at(doc, 0, device, "deviceAuth", "deviceSignature").items[3] = r.at(doc, 0, issuer, "issuerAuth", 3)
		}, oid4vp.ErrKeyBinding},
		"no alg of the device":      {func(r *item) { r.at(doc, 0, device, "deviceAuth", "deviceSignature").items[0] = octets(nil) }, oid4vp.ErrUnsupported},
		"no deviceNameSpaces":       {func(r *item) { r.at(doc, 0, device).remove("nameSpaces") }, oid4vp.ErrMalformed},
		"deviceNameSpaces untagged": {func(r *item) { n := r.at(doc, 0, device); n.set("nameSpaces", n.at("nameSpaces", 0)) }, oid4vp.ErrMalformed},
		"deviceNameSpaces altered":  {func(r *item) { r.at(doc, 0, device, "nameSpaces", 0).wide = true }, oid4vp.ErrKeyBinding},
		"deviceNameSpaces an array": {func(r *item) { r.at(doc, 0, device, "nameSpaces", 0).content = []byte{0x80} }, oid4vp.ErrMalformed},
		"empty namespace of the device": {func(r *item) {
			r.at(doc, 0, device, "nameSpaces").embedded(func(i *item) { i.add("x", dict()) })
		}, oid4vp.ErrMalformed},
		"not authorized": {func(r *item) {
			r.at(doc, 0, device, "nameSpaces").embedded(func(i *item) { i.add("x", dict(text("y"), number(1))) })
		}, oid4vp.ErrKeyBinding},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response, _ := parseItem(good)
			c.edit(response)
			_, err := mdoc.Verify(response.bytes(), w.want(t))
			wantCode(t, name, err, c.code)
		})
	}
}

func TestBytesRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	good := w.present(t, w.credential, nil)
	for name, c := range map[string]struct {
		response []byte
		code     oid4vp.Code
	}{
		"empty":           {nil, oid4vp.ErrMalformed},
		"trailing byte":   {append(bytes.Clone(good), 0), oid4vp.ErrMalformed},
		"truncated":       {good[:len(good)-1], oid4vp.ErrMalformed},
		"two responses":   {append(bytes.Clone(good), good...), oid4vp.ErrMalformed},
		"a text":          {[]byte("\x63abc"), oid4vp.ErrMalformed},
		"null":            {[]byte{0xf6}, oid4vp.ErrMalformed},
		"a tag":           {append([]byte{0xd9, 0xd9, 0xf7}, good...), oid4vp.ErrMalformed},
		"endless array":   {[]byte{0x9f}, oid4vp.ErrMalformed},
		"huge array":      {[]byte{0xa1, 0x61, 'x', 0x9b, 0, 0, 1, 0, 0, 0, 0, 0}, oid4vp.ErrTooLarge},
		"huge map":        {[]byte{0xbb, 0, 0, 1, 0, 0, 0, 0, 0}, oid4vp.ErrTooLarge},
		"huge string":     {[]byte{0xa1, 0x7b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, oid4vp.ErrMalformed},
		"too many bytes":  {make([]byte, oid4vp.MaxPresentation+1), oid4vp.ErrTooLarge},
		"nested brackets": {append([]byte{0xa1, 0x61, 'x'}, bytes.Repeat([]byte{0x81}, 100_000)...), oid4vp.ErrTooLarge},
		"nested tags":     {append([]byte{0xa1, 0x61, 'x'}, bytes.Repeat([]byte{0xc6}, 100_000)...), oid4vp.ErrTooLarge},
	} {
		_, err := mdoc.Verify(c.response, w.want(t))
		wantCode(t, name, err, c.code)
	}
}

func TestWantRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	good := w.present(t, w.credential, nil)
	for name, edit := range map[string]func(*mdoc.Want){
		"no docType":             func(want *mdoc.Want) { want.DocType = "" },
		"no anchors":             func(want *mdoc.Want) { want.Anchors = nil },
		"no time":                func(want *mdoc.Want) { want.Now = time.Time{} },
		"no transcript":          func(want *mdoc.Want) { want.Transcript = nil },
		"transcript not CBOR":    func(want *mdoc.Want) { want.Transcript = []byte{0x83} },
		"transcript and trailer": func(want *mdoc.Want) { want.Transcript = append(bytes.Clone(want.Transcript), 0) },
	} {
		want := w.want(t)
		edit(&want)
		_, err := mdoc.Verify(good, want)
		wantCode(t, name, err, oid4vp.ErrInput)
	}
	want := w.want(t)
	want.Anchors = &mdoc.Anchors{}
	_, err := mdoc.Verify(good, want)
	wantCode(t, "zero anchors", err, oid4vp.ErrUntrusted)
}
