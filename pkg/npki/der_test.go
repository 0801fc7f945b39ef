package npki

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

func TestCheckDER(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"3000", "020100", "0201ff", "02020080", "0202ff7f", "0101ff", "010100", "0500", "030100", "03020780", "060355040a", "0400", "a0020500",
		"800100", "048180" + strings.Repeat("00", 128), "30050201010500", "04820100" + strings.Repeat("00", 256), deep(maxDepth + 1),
	} {
		if err := checkDER("value", unhex(t, good), MaxFile); err != nil {
			t.Errorf("%.20s: %v", good, err)
		}
	}
	for name, bad := range map[string]string{
		"empty":                        "",
		"one byte":                     "30",
		"cut off":                      "3002",
		"cut off inside":               "30040202",
		"trailing byte":                "300000",
		"indefinite length":            "30800000",
		"indefinite length inside":     "3004a0800000",
		"length not minimal, 1":        "308100",
		"length not minimal, 2":        "3082000100",
		"length of 5 bytes":            "30850000000001",
		"length of 4 GB":               "3084ffffffff",
		"length cut off":               "3082",
		"length 0xff":                  "30ff",
		"tag above 30":                 "1f1f00",
		"constructed OCTET STRING":     "2403040100",
		"constructed BIT STRING":       "230403020000",
		"primitive SEQUENCE":           "1000",
		"primitive SET":                "1100",
		"BOOLEAN 01":                   "010101",
		"BOOLEAN of two bytes":         "0102ffff",
		"INTEGER empty":                "0200",
		"INTEGER padded":               "02020001",
		"INTEGER padded, negative":     "0202ff80",
		"ENUMERATED padded":            "0a020001",
		"NULL with content":            "050100",
		"BIT STRING empty":             "0300",
		"BIT STRING, 8 unused bits":    "03020800",
		"BIT STRING, unused bits set":  "03020701",
		"BIT STRING, unused of none":   "030101",
		"OID empty":                    "0600",
		"OID padded":                   "06022a80",
		"OID padded inside":            "06042a800101",
		"OID cut off":                  "06022a81",
		"end-of-contents":              "30010000",
		"deeper than anybody needs to": deep(maxDepth + 2),
	} {
		wantCode(t, name, checkDER("value", unhex(t, bad), MaxFile), ErrMalformed)
	}
	wantCode(t, "over the limit", checkDER("value", make([]byte, 101), 100), ErrTooLarge)
	wantCode(t, "over 1 MB", checkDER("value", make([]byte, MaxFile+1), MaxFile*2), ErrTooLarge)
}

// deep nests n empty sequences.
func deep(n int) string {
	var data []byte
	for range n {
		data = value(0x30, data)
	}
	return hex.EncodeToString(data)
}

// rewrite decodes and encodes DER.
func rewrite(data []byte) []byte {
	tag, body, rest, problem := header(data)
	if problem != "" {
		return nil
	}
	if tag&0x20 != 0 {
		var inner []byte
		for len(body) > 0 {
			_, _, after, problem := header(body)
			if problem != "" {
				return nil
			}
			inner = append(inner, rewrite(body[:len(body)-len(after)])...)
			body = after
		}
		body = inner
	}
	if len(rest) > 0 {
		return nil
	}
	return value(tag, body)
}

func FuzzCheckDER(f *testing.F) {
	for _, seed := range []string{fixturePKCS8, keyFixtures[0].file, sanSHA256, sanSHA1, sanCA, "30800000", "308100", deep(40)} {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if checkDER("value", data, 0xFFFF) == nil && !bytes.Equal(rewrite(data), data) {
			t.Errorf("%x would be written as %x", data, rewrite(data))
		}
	})
}
