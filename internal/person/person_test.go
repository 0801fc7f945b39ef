package person

import (
	"testing"
	"time"

	"github.com/anyid/anyid/internal/method"
)

func TestMayLose(t *testing.T) {
	t.Parallel()
	phone := Link{Method: method.MobileID, Subject: "a"}
	kakao := Link{Method: method.Simple, Provider: "kakao", Subject: "b"}
	naver := Link{Method: method.Simple, Provider: "naver", Subject: "c"}
	blocked := func(m method.Method, provider string) Block {
		return Block{Method: m, Provider: provider, At: time.Unix(0, 0)}
	}
	for _, row := range []struct {
		name   string
		links  []Link
		blocks []Block
		lose   Link
		want   bool
	}{
		{"the last", []Link{phone}, nil, phone, false},
		{"one of two", []Link{phone, kakao}, nil, phone, true},
		{"a blocked one beside a good one", []Link{phone, kakao}, []Block{blocked(method.Simple, "")}, kakao, true},
		{"the last good one beside a blocked one", []Link{phone, kakao}, []Block{blocked(method.Simple, "kakao")}, phone, false},
		{"one of two blocked ones", []Link{kakao, naver}, []Block{blocked(method.Simple, "")}, kakao, true},
		{"the last, blocked", []Link{kakao}, []Block{blocked(method.Simple, "")}, kakao, false},
		{"another provider is blocked", []Link{kakao, naver}, []Block{blocked(method.Simple, "toss")}, naver, true},
		{"the last good provider", []Link{kakao, naver}, []Block{blocked(method.Simple, "naver")}, kakao, false},
	} {
		p := Person{Blocks: row.blocks}
		if got := p.MayLose(row.links, row.lose.Method, row.lose.Subject); got != row.want {
			t.Errorf("%s: %t", row.name, got)
		}
	}
}
