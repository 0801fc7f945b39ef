package agency

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/encoding/korean"
)

// cryptoToken is what one request of the older interface is encrypted under.
type cryptoToken struct {
	at, number, value string
	ends              time.Time
}

const cryptoLife = time.Hour

// object is JSON.
type object = map[string]any

func gateway(code string, body object) object {
	return object{"dataHeader": object{"GW_RSLT_CD": code, "GW_RSLT_MSG": ""}, "dataBody": body}
}

// serveOldToken hands out the older interface's access token, which lives for 50 years.
func (s *Simulator) serveOldToken(w http.ResponseWriter, r *http.Request) {
	if s.disturb(w, r, checkPlusAPI, opToken) {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	_, refused := s.faults.Strike(FaultTokenRefused, checkPlusAPI, opToken)
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(s.clientID+":"+s.clientSecret))
	switch {
	case r.PostFormValue("grant_type") != "client_credentials" || r.PostFormValue("scope") != "default":
		s.answerJSON(w, checkPlusAPI, opToken, gateway("1300", nil))
	case refused || !hmac.Equal([]byte(r.Header.Get("Authorization")), []byte(want)):
		s.answerJSON(w, checkPlusAPI, opToken, gateway("1800", nil))
	default:
		text, _ := s.issue(oldTokenLife, true)
		s.answerJSON(w, checkPlusAPI, opToken, gateway("1200", object{
			"access_token": text, "token_type": "bearer", "expires_in": seconds(oldTokenLife), "scope": "default",
		}))
	}
}

// authorized reports whether a call of the older interface carries a token.
func (s *Simulator) authorized(r *http.Request) bool {
	kind, encoded, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	text, err := base64.StdEncoding.DecodeString(encoded)
	parts := strings.Split(string(text), ":")
	_, expired := s.faults.Strike(FaultTokenExpired, checkPlusAPI, opOrder)
	if !strings.EqualFold(kind, "bearer") || err != nil || len(parts) != 3 || parts[2] != s.clientID {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[parts[0]]
	if expired {
		delete(s.tokens, parts[0])
	}
	return t != nil && t.old && !expired
}

// serveCryptoToken hands out what one request is encrypted under.
func (s *Simulator) serveCryptoToken(w http.ResponseWriter, r *http.Request) {
	if s.disturb(w, r, checkPlusAPI, opOrder) {
		return
	}
	if !s.authorized(r) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var in struct {
		Header struct {
			Country string `json:"CNTY_CD"`
		} `json:"dataHeader"`
		Body struct {
			At     string `json:"req_dtim"`
			Number string `json:"req_no"`
			Mode   string `json:"enc_mode"`
		} `json:"dataBody"`
	}
	ok := readJSON(w, r, &in)
	_, err := time.Parse("20060102150405", in.Body.At)
	_, denied := s.faults.Strike(FaultNoPermission, checkPlusAPI, opOrder)
	switch {
	case !ok || err != nil || in.Header.Country != "ko" || in.Body.Mode != "1" || in.Body.Number == "" || len(in.Body.Number) > 30:
		s.answerJSON(w, checkPlusAPI, opOrder, gateway("1200", object{"rsp_cd": "P000", "result_cd": "0001"}))
		return
	case denied || r.Header.Get("ProductID") != ProductID:
		s.answerJSON(w, checkPlusAPI, opOrder, gateway("1200", object{"rsp_cd": "P000", "result_cd": "0003"}))
		return
	}
	version := rand.Text()
	held := &cryptoToken{in.Body.At, in.Body.Number, rand.Text() + rand.Text(), s.now().Add(cryptoLife)}
	s.mu.Lock()
	if len(s.crypto) >= maxWindows {
		clear(s.crypto)
	}
	s.crypto[version] = held
	s.mu.Unlock()
	s.answerJSON(w, checkPlusAPI, opOrder, gateway("1200", object{
		"rsp_cd": "P000", "result_cd": "0000", "site_code": siteCode, "token_version_id": version, "token_val": held.value, "period": int(cryptoLife / time.Second),
	}))
}

// keys are a request's: 16 bytes of AES key, 16 of IV, 32 of HMAC key, all slices of one text.
func (c *cryptoToken) keys() (key, iv, mac []byte) {
	sum := sha256.Sum256([]byte(c.at + c.number + c.value))
	text := base64.StdEncoding.EncodeToString(sum[:])
	return []byte(text[:16]), []byte(text[len(text)-16:]), []byte(text[:32])
}

func (c *cryptoToken) integrity(data string) []byte {
	_, _, key := c.keys()
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(data))
	return mac.Sum(nil)
}

// serveCheckPlus takes the form that opens the older interface's window.
func (s *Simulator) serveCheckPlus(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	version, data := r.FormValue("token_version_id"), r.FormValue("enc_data")
	s.mu.Lock()
	held := s.crypto[version]
	delete(s.crypto, version) // one token, one window
	s.mu.Unlock()
	v := s.checkPlusWindow(held, data, r.FormValue("integrity_value"))
	if r.FormValue("m") != "service" || v == nil {
		s.lost(w)
		return
	}
	v.transaction = version
	s.open(v)
	http.Redirect(w, r, "/window/"+v.id, http.StatusSeeOther)
}

// checkPlusWindow opens a request and makes its window, nil if it is not in order.
func (s *Simulator) checkPlusWindow(held *cryptoToken, data, integrity string) *window {
	if held == nil || !s.now().Before(held.ends) {
		return nil
	}
	claimed, err := base64.StdEncoding.DecodeString(integrity)
	sealed, dataErr := base64.StdEncoding.DecodeString(data)
	if err != nil || dataErr != nil || !hmac.Equal(claimed, held.integrity(data)) || len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
		return nil
	}
	key, iv, _ := held.keys()
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(sealed, sealed)
	pad := int(sealed[len(sealed)-1])
	if pad < 1 || pad > len(sealed) {
		return nil
	}
	var named map[string]string
	if json.Unmarshal(sealed[:len(sealed)-pad], &named) != nil {
		return nil
	}
	if named["requestno"] != held.number || named["sitecode"] != siteCode || named["authtype"] != PhoneService ||
		!slices.Contains([]string{"get", "post"}, named["methodtype"]) || !returnable(named["returnurl"], 250) {
		return nil
	}
	return &window{
		api: checkPlusAPI, title: "NICE 본인확인", service: PhoneService, number: held.number, returnURL: named["returnurl"], byPost: named["methodtype"] == "post", crypto: held,
	}
}

// checkPlusReturn is what the browser brings back: the result itself.
func (s *Simulator) checkPlusReturn(v window) (url.Values, error) {
	code := resultDone
	f := facts{number: v.number}
	if v.person == nil {
		code = CancelledCheckPlus
	} else if f = s.result(v); f.unknown {
		code = resultNobodys
	}
	kind := PhoneService
	if _, struck := s.faults.Strike(FaultOtherService, checkPlusAPI, opResult); struck {
		kind = "C"
	}
	members := map[string]string{
		"resultcode": code, "requestno": f.number, "enctime": s.now().In(korea).Format("20060102150405"), "sitecode": siteCode,
		"responseno": rand.Text(), "authtype": kind,
	}
	if code == resultDone {
		members["name"], members["utf8_name"], members["birthdate"] = f.name, url.QueryEscape(f.name), f.birthDate
		members["gender"], members["nationalinfo"] = binary(f.male), binary(f.foreign)
		members["mobileno"], members["mobileco"], members["ci"], members["di"] = f.phone, niceCarriers[f.carrier], f.ci, f.di
		if f.resident != "" {
			members["juminno"] = f.resident
		}
	}
	_, old := s.faults.Strike(FaultEUCKR, checkPlusAPI, opResult)
	if old {
		delete(members, "utf8_name")
	}
	plain, err := json.Marshal(members)
	if err == nil && old {
		plain, err = korean.EUCKR.NewEncoder().Bytes(plain)
	}
	if err != nil {
		return nil, err
	}
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	plain = append(plain, bytes.Repeat([]byte{byte(pad)}, pad)...)
	if _, struck := s.faults.Strike(FaultWrongTag, checkPlusAPI, opResult); struck {
		plain[len(plain)-1] = 0xff
	}
	key, iv, _ := v.crypto.keys()
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(plain, plain)
	data := base64.StdEncoding.EncodeToString(plain)
	sum := v.crypto.integrity(data)
	if _, struck := s.faults.Strike(FaultWrongIntegrity, checkPlusAPI, opResult); struck {
		sum[0] ^= 1
	}
	return url.Values{"token_version_id": {v.transaction}, "enc_data": {data}, "integrity_value": {base64.StdEncoding.EncodeToString(sum)}}, nil
}
