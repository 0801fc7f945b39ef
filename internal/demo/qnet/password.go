package qnet

import (
	"crypto/rand"
	"crypto/subtle"
	"strings"

	"golang.org/x/crypto/argon2"
)

// passwordHash is a password under argon2id, with the cost that it was made with.
type passwordHash struct {
	Salt   []byte `json:"salt"`
	Time   uint32 `json:"time"`
	Memory uint32 `json:"memory_kib"`
	Hash   []byte `json:"argon2id"`
}

// hashing bounds how many hashes are computed at once, and with it the memory that logins can take.
var hashing = make(chan struct{}, 4)

// hashPassword uses 19 MiB and two passes, the first choice of OWASP's password storage cheat sheet.
func hashPassword(password string) passwordHash {
	h := passwordHash{Salt: make([]byte, 16), Time: 2, Memory: 19 << 10}
	rand.Read(h.Salt)
	h.Hash = h.derive(password)
	return h
}

func (h passwordHash) derive(password string) []byte {
	hashing <- struct{}{}
	defer func() { <-hashing }()
	return argon2.IDKey([]byte(password), h.Salt, h.Time, h.Memory, 1, 32)
}

func (h passwordHash) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.derive(password), h.Hash) == 1
}

// nobody stands in for a member that does not exist, so that the answer takes as long.
var nobody = passwordHash{Salt: make([]byte, 16), Time: 2, Memory: 19 << 10, Hash: make([]byte, 32)}

// passwordSigns are the special characters that the site's rule allows and asks for.
const passwordSigns = "!@#$%^&*"

// passwordProblem returns what is wrong with a new password, for the citizen, or "".
func passwordProblem(password string) string {
	var letter, digit, sign, other bool
	for _, c := range password {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			letter = true
		case '0' <= c && c <= '9':
			digit = true
		case strings.ContainsRune(passwordSigns, c):
			sign = true
		default:
			other = true
		}
	}
	switch {
	case password == "":
		return "비밀번호를 입력해 주세요."
	case other:
		return "비밀번호에는 영문자, 숫자, 특수문자(! @ # $ % ^ & *)만 쓸 수 있습니다."
	case len(password) < 9 || len(password) > 16:
		return "비밀번호는 9~16자리로 입력해 주세요."
	case !letter || !digit || !sign:
		return "비밀번호에 영문자, 숫자, 특수문자(! @ # $ % ^ & *)를 모두 넣어 주세요."
	}
	return ""
}
