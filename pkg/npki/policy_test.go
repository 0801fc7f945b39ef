package npki

import (
	"strings"
	"testing"
)

func TestPolicies(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	count := map[string]int{}
	joint := 0
	for _, p := range Policies() {
		if seen[p.OID] {
			t.Errorf("%s stands twice", p.OID)
		}
		seen[p.OID] = true
		count[p.CA.ID]++
		if strings.TrimSpace(p.Label()) == "" || p.Kind == "" || p.Scope == "" {
			t.Errorf("%s has no name", p.OID)
		}
		if (p.Joint || p.Cloud) && (p.CA.Defunct || p.Holder != Person || p.Module || p.Kind == Card) || p.Joint && p.Cloud {
			t.Errorf("%s (%s of %s) must not be a default", p.OID, p.Label(), p.CA.Name)
		}
		if got, ok := PolicyByOID(p.OID); !ok || got != p {
			t.Errorf("%s is not found", p.OID)
		}
		if p.Joint {
			joint++
		}
	}
	for id, want := range map[string]int{"yessign": 25, "KICA": 12, "SignKorea": 14, "CrossCert": 15, "TradeSign": 16, "NCASign": 9, "INIPASS": 5} {
		if count[id] != want {
			t.Errorf("%s has %d policies, want %d", id, count[id], want)
		}
	}
	if joint != 10 { // five CAs, general and banking or its like
		t.Errorf("%d policies for login by joint certificate", joint)
	}
}

func TestPolicyByOID(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ oid, ca, label, english string }{
		{"1.2.410.200005.1.1.1", "금융결제원", "개인 범용", "person general use"},
		{"1.2.410.200005.1.1.1.1", "금융결제원", "개인 범용 (보안매체)", "person general use"},
		{"1.2.410.200005.1.1.1.10", "금융결제원", "개인 금융인증서", "person financial certificate"},
		{"1.2.410.200005.1.1.2", "금융결제원", "법인 은행", "corporation banking"},
		{"1.2.410.200005.1.1.4", "금융결제원", "개인 은행/보험/카드/민원", "person banking"},
		{"1.2.410.200005.1.1.8.11", "금융결제원", "사업자 금융인증서", "business financial certificate"},
		{"1.2.410.200004.5.2.1.2", "한국정보인증", "개인 범용", "person general use"},
		{"1.2.410.200004.5.2.1.5001", "한국정보인증", "국세청", "holder not stated special purpose"},
		{"1.2.410.200004.5.1.1.9", "코스콤", "개인 증권/보험/민원", "person securities"},
		{"1.2.410.200004.5.4.1.103", "한국전자인증", "개인 신용카드", "person credit card"},
		{"1.2.410.200004.5.4.2.369", "한국전자인증", "법인 전용", "corporation special purpose"},
		{"1.2.410.200012.1.1.5", "한국무역정보통신", "서버", "holder not stated server"},
		{"1.2.410.200012.1.1.2", "한국무역정보통신", "암호용", "holder not stated encryption"},
		{"1.2.410.200004.5.3.1.1", "한국지능정보사회진흥원 (옛 한국정보사회진흥원)", "기관 기관", "organization special purpose"},
		{"1.2.410.200004.5.5.1.1", "이니텍", "개인 범용", "person general use"},
	} {
		p, ok := PolicyByOID(c.oid)
		if !ok || p.CA.Name != c.ca || p.Label() != c.label || p.Holder.English()+" "+p.Kind.English() != c.english {
			t.Errorf("%s: %v %+v", c.oid, ok, p)
		}
	}
	for _, unknown := range []string{
		"", "1.2.410.200005.1.1", "1.2.410.200005.1.1.1.2", "1.2.410.200005.1.1.1.10.1", "1.2.410.200004.5.4.2", "1.2.410.200004.5.4.2.",
		"1.2.410.200004.5.4.2.369.1", Infrastructure, "1.2.410.200004.2.101", "2.5.29.32.0", "1.2.410.100001.2.2.1",
	} {
		if p, ok := PolicyByOID(unknown); ok {
			t.Errorf("%q is taken for %s", unknown, p.Label())
		}
	}
}

// The accredited authorities of the old guides are all there, and what became of them.
func TestCAs(t *testing.T) {
	t.Parallel()
	found := map[string]CA{}
	for _, ca := range CAs() {
		found[ca.Name] = ca
	}
	for _, name := range []string{"한국정보인증", "코스콤", "금융결제원", "한국전자인증", "한국무역정보통신"} {
		if ca, ok := found[name]; !ok || ca.Defunct || ca.Site == "" || ca.English == "" {
			t.Errorf("%s: %+v", name, ca)
		}
	}
	for _, name := range []string{"한국지능정보사회진흥원 (옛 한국정보사회진흥원)", "이니텍"} {
		if ca, ok := found[name]; !ok || !ca.Defunct {
			t.Errorf("%s: %+v", name, ca)
		}
	}
}

func TestForeign(t *testing.T) {
	t.Parallel()
	for oid, want := range map[string]string{
		"1.2.410.100001.2.2.1": "GPKI", "1.2.410.100001.5.3.1.1": "EPKI", "1.2.410.300001.2.2.1": "MPKI", "1.2.410.200005.1.1.1": "", "1.2.410.1000011.2": "",
	} {
		if got := Foreign(oid); got != want {
			t.Errorf("%s: %q, want %q", oid, got, want)
		}
	}
}
