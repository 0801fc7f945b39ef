package qnet

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"image/png"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

var today = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

func TestSignupRules(t *testing.T) {
	t.Parallel()
	good := signupForm{
		ID: "hong2026", BirthDate: "19950112", Gender: "male", Nationality: "domestic", Name: "홍길동", NameEnglish: "HONG GILDONG",
		Password: "korea123@", Confirm: "korea123@", Photo: encode(t, 300, 400),
	}
	if m, p := good.check(today); len(p) > 0 || m.BirthDate != "1995-01-12" || m.ID != "hong2026" {
		t.Fatalf("a good form: %+v %v", m, p)
	}
	for name, tc := range map[string]struct {
		change func(*signupForm)
		wrong  []string // the inputs with an error
	}{
		"no photo":               {func(f *signupForm) { f.Photo = nil }, nil},
		"photo too narrow":       {func(f *signupForm) { f.Photo = encode(t, 299, 400) }, []string{"photo"}},
		"photo too low":          {func(f *signupForm) { f.Photo = encode(t, 300, 399) }, []string{"photo"}},
		"larger photo":           {func(f *signupForm) { f.Photo = encode(t, 900, 1200) }, nil},
		"photo cut off":          {func(f *signupForm) { f.Photo = f.Photo[:len(f.Photo)/2] }, []string{"photo"}},
		"photo of other kind":    {func(f *signupForm) { f.Photo = encodePNG(t) }, []string{"photo"}},
		"photo too large":        {func(f *signupForm) { f.Photo = append(slices.Clone(f.Photo), make([]byte, 200<<10)...) }, []string{"photo"}},
		"photo a bomb":           {func(f *signupForm) { f.Photo = bomb(f.Photo) }, []string{"photo"}},
		"photo not read":         {func(f *signupForm) { f.Photo, f.PhotoTooBig = nil, true }, []string{"photo"}},
		"no ID":                  {func(f *signupForm) { f.ID = "" }, []string{"user-id"}},
		"ID begins with a digit": {func(f *signupForm) { f.ID = "1hong" }, []string{"user-id"}},
		"ID with a sign":         {func(f *signupForm) { f.ID = "hong-1" }, []string{"user-id"}},
		"ID with a path":         {func(f *signupForm) { f.ID = "../../x" }, []string{"user-id"}},
		"ID too short":           {func(f *signupForm) { f.ID = "abc" }, []string{"user-id"}},
		"ID too long":            {func(f *signupForm) { f.ID = strings.Repeat("a", 21) }, []string{"user-id"}},
		"ID in capitals":         {func(f *signupForm) { f.ID = "HONG" }, nil},
		"birth date with marks":  {func(f *signupForm) { f.BirthDate = "1995.01.12" }, nil},
		"no such day":            {func(f *signupForm) { f.BirthDate = "19950230" }, []string{"birthdate"}},
		"birth in the future":    {func(f *signupForm) { f.BirthDate = "20261123" }, []string{"birthdate"}},
		"six digits":             {func(f *signupForm) { f.BirthDate = "950112" }, []string{"birthdate"}},
		"no gender":              {func(f *signupForm) { f.Gender = "" }, []string{"gender"}},
		"gender not told":        {func(f *signupForm) { f.Gender = "none" }, nil},
		"no nationality":         {func(f *signupForm) { f.Nationality = "" }, []string{"nationality"}},
		"no name":                {func(f *signupForm) { f.Name = "" }, []string{"name"}},
		"name of one letter":     {func(f *signupForm) { f.Name = "이" }, nil},
		"name with marks":        {func(f *signupForm) { f.Name = "Zoë O’Neill-Šimić Jr." }, nil},
		"name with markup":       {func(f *signupForm) { f.Name = "<b>홍" }, []string{"name"}},
		"name too long":          {func(f *signupForm) { f.Name = strings.Repeat("홍", 51) }, []string{"name"}},
		"no English name":        {func(f *signupForm) { f.NameEnglish = "" }, nil},
		"English name in Korean": {func(f *signupForm) { f.NameEnglish = "홍길동" }, []string{"name-en"}},
		"password of 8":          {func(f *signupForm) { f.Password = "korea12@" }, []string{"password"}},
		"password of 17":         {func(f *signupForm) { f.Password = "korea123@korea123" }, []string{"password"}},
		"password without sign":  {func(f *signupForm) { f.Password = "korea1234" }, []string{"password"}},
		"password without digit": {func(f *signupForm) { f.Password = "koreakor@" }, []string{"password"}},
		"password no letter":     {func(f *signupForm) { f.Password = "12345678@" }, []string{"password"}},
		"password other sign":    {func(f *signupForm) { f.Password = "korea123@-" }, []string{"password"}},
		"password with space":    {func(f *signupForm) { f.Password = "korea 123@" }, []string{"password"}},
		"password in Korean":     {func(f *signupForm) { f.Password = "한국kr123@@" }, []string{"password"}},
		"no password":            {func(f *signupForm) { f.Password = "" }, []string{"password"}},
		"not repeated":           {func(f *signupForm) { f.Confirm = "korea123#" }, []string{"password-confirm"}},
		"nothing at all": {func(f *signupForm) { *f = signupForm{} },
			[]string{"user-id", "birthdate", "nationality", "gender", "name", "password"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := good
			tc.change(&f)
			if f.Password != good.Password && name != "not repeated" {
				f.Confirm = f.Password
			}
			_, p := f.check(today)
			var wrong []string
			for _, r := range p.List() {
				wrong = append(wrong, r.Name)
			}
			if !slices.Equal(wrong, tc.wrong) {
				t.Errorf("wrong: %v, want %v (%v)", wrong, tc.wrong, p)
			}
			if len(wrong) > 0 && p.First() != wrong[0] {
				t.Errorf("first is %s", p.First())
			}
		})
	}
}

func encode(t testing.TB, width, height int) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := jpeg.Encode(&out, image.NewGray(image.Rect(0, 0, width, height)), nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func encodePNG(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, 300, 400))); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// bomb makes a small picture claim 65535 × 65535 pixels.
func bomb(photo []byte) []byte {
	photo = slices.Clone(photo)
	sof := bytes.Index(photo, []byte{0xff, 0xc0}) // start of frame: length, precision, height, width
	copy(photo[sof+5:], []byte{0xff, 0xff, 0xff, 0xff})
	return photo
}

func TestPasswordHash(t *testing.T) {
	t.Parallel()
	h := hashPassword("korea123@")
	if !h.matches("korea123@") || h.matches("korea123#") || h.matches("") {
		t.Error("the hash does not tell passwords apart")
	}
	if other := hashPassword("korea123@"); bytes.Equal(other.Hash, h.Hash) {
		t.Error("two hashes of one password are equal")
	}
	if nobody.matches("") {
		t.Error("nobody has a password")
	}
}

func TestMembersSurviveReopening(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m, err := openMembers(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.create(member{ID: "hong2026", Name: "홍길동", Subject: "s", CI: m.hashCI("ci")}, nil); err != nil {
		t.Fatal(err)
	}
	again, err := openMembers(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok, err := again.recognise("new subject", again.hashCI("ci")); err != nil || !ok || got.ID != "hong2026" {
		t.Errorf("after reopening: %+v %t %v", got, ok, err)
	}
	if err := again.create(member{ID: "HONG2026"}, nil); err != nil {
		t.Errorf("IDs are compared as stored: %v", err)
	}
	if err := again.create(member{ID: "hong2026"}, nil); !errors.Is(err, errIDTaken) {
		t.Errorf("a second member of one ID: %v", err)
	}
	if err := again.change("nobody", func(*member) error { return nil }); !errors.Is(err, errNoMember) {
		t.Errorf("a change for nobody: %v", err)
	}
	if _, err := openMembers(""); err == nil {
		t.Error("opened without a folder")
	}
}

func FuzzReadSignup(f *testing.F) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	_ = form.SetBoundary("x")
	_ = form.WriteField("user-id", "hong")
	_ = form.WriteField("name", "홍길동")
	part, _ := form.CreateFormFile("photo", "a.jpg")
	_, _ = part.Write([]byte("\xff\xd8\xff"))
	_ = form.Close()
	f.Add(body.Bytes())
	f.Add([]byte("--x\r\n\r\n--x--"))
	f.Fuzz(func(t *testing.T, content []byte) {
		r := httptest.NewRequest(http.MethodPost, "/signup", bytes.NewReader(content))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
		form, err := readSignup(r)
		if err != nil {
			return
		}
		if len(form.Photo) > maxPhoto || len(form.Name) > 1<<10 {
			t.Error("a field is longer than it may be")
		}
		form.check(today)
	})
}

func FuzzPhoto(f *testing.F) {
	f.Add(encode(f, 300, 400))
	f.Add(bomb(encode(f, 300, 400)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		if photoProblem(content) != "" {
			return
		}
		if config, err := jpeg.DecodeConfig(bytes.NewReader(content)); err != nil || config.Width < minPhotoWidth || config.Height < minPhotoHeight {
			t.Errorf("accepted %+v, %v", config, err)
		}
	})
}

func FuzzBirthDate(f *testing.F) {
	f.Add("19950112")
	f.Add("1995-01-12")
	f.Add("0000.00.00")
	f.Fuzz(func(t *testing.T, s string) {
		day, ok := parseBirthDate(s, today)
		if !ok {
			return
		}
		if again, ok := parseBirthDate(day, today); !ok || again != day {
			t.Errorf("%q becomes %q, which becomes %q", s, day, again)
		}
	})
}
