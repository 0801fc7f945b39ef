package agency

import (
	"crypto/hmac"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/text/encoding/korean"
)

// serveDanal is Danal's one call: ITEMSEND orders a window, CONFIRM fetches its result, once. The codes but 0000 are
// this package's.
func (s *Simulator) serveDanal(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	operation := opOrder
	if r.PostFormValue("TXTYPE") == "CONFIRM" {
		operation = opResult
	}
	if s.disturb(w, r, danalAPI, operation) {
		return
	}
	reply := [][2]string{{"RETURNCODE", "3000"}, {"RETURNMSG", "no such TXTYPE"}}
	switch r.PostFormValue("TXTYPE") {
	case "ITEMSEND":
		reply = s.danalOrder(r.PostForm)
	case "CONFIRM":
		reply = s.danalConfirm(r.PostForm)
	}
	pairs := make([]string, len(reply))
	_, old := s.faults.Strike(FaultEUCKR, danalAPI, operation)
	for i, pair := range reply {
		value := pair[1]
		if old {
			if encoded, err := korean.EUCKR.NewEncoder().String(value); err == nil {
				value = encoded
			}
		}
		pairs[i] = pair[0] + "=" + url.QueryEscape(value)
	}
	s.answer(w, danalAPI, operation, "text/html", []byte(strings.Join(pairs, "&")))
}

func danalRefusal(code, message string) [][2]string {
	return [][2]string{{"RETURNCODE", code}, {"RETURNMSG", message}}
}

func (s *Simulator) danalOrder(form url.Values) [][2]string {
	_, refused := s.faults.Strike(FaultTokenRefused, danalAPI, opOrder)
	switch {
	case refused || form.Get("CPID") != s.clientID || !hmac.Equal([]byte(form.Get("CPPWD")), []byte(s.clientSecret)):
		return danalRefusal("1001", "no such CPID")
	case form.Get("SERVICE") != "UAS" || form.Get("AUTHTYPE") != "36" || form.Get("CPTITLE") == "" || !returnable(form.Get("TARGETURL"), 1024):
		return danalRefusal("2001", "bad request")
	}
	v := &window{
		api: danalAPI, title: "다날 본인인증", site: form.Get("CPTITLE"), service: PhoneService, number: form.Get("ORDERID"), transaction: rand.Text(), returnURL: form.Get("TARGETURL"), byPost: true,
	}
	s.open(v)
	return [][2]string{{"RETURNCODE", resultDone}, {"RETURNMSG", "No information"}, {"TID", v.transaction}}
}

func (s *Simulator) danalConfirm(form url.Values) [][2]string {
	v, code := s.fetch(danalAPI, form.Get("TID"))
	if code == "" && form.Get("CONFIRMOPTION") == "1" && (form.Get("CPID") != s.clientID || form.Get("ORDERID") != v.number) {
		code = resultNoWindow
	}
	if code == "" {
		code = s.take(v.transaction)
	}
	switch {
	case code == resultUnfinished && v.closed:
		return danalRefusal(CancelledDanal, "cancelled")
	case code != "":
		return danalRefusal(code, "no result")
	}
	f := s.result(v)
	if f.unknown {
		return danalRefusal(resultNobodys, "unknown")
	}
	sex := "2"
	if f.male {
		sex = "1"
	}
	reply := [][2]string{
		{"RETURNCODE", resultDone}, {"RETURNMSG", "No information"}, {"TID", v.transaction}, {"ORDERID", f.number}, {"NAME", f.name},
		{"DOB", f.birthDate}, {"SEX", sex}, {"PHONE", f.phone}, {"CARRIER", string(f.carrier)}, {"CI", f.ci}, {"DI", f.di},
	}
	if f.resident != "" {
		reply = append(reply, [2]string{"JUMIN", f.resident})
	}
	return reply
}

// serveStart opens Danal's window.
func (s *Simulator) serveStart(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	s.enter(w, r, danalAPI, r.PostFormValue("TID"), r.PostFormValue("BackURL"))
}

// sidecar reports whether a call has the sidecar's key, and answers it if not.
func (s *Simulator) sidecar(w http.ResponseWriter, r *http.Request) bool {
	_, refused := s.faults.Strike(FaultTokenRefused, kcbAPI)
	if refused || !hmac.Equal([]byte(r.Header.Get("Authorization")), []byte("Bearer "+s.clientSecret)) {
		w.WriteHeader(http.StatusUnauthorized)
		return false
	}
	return true
}

func (s *Simulator) serveHealth(w http.ResponseWriter, r *http.Request) {
	if !s.disturb(w, r, kcbAPI, opToken) && s.sidecar(w, r) {
		w.WriteHeader(http.StatusOK)
	}
}

// serveOkCert is the sidecar's call of OkCert3. The result codes but B000 are this package's.
func (s *Simulator) serveOkCert(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Service string            `json:"service"`
		Params  map[string]string `json:"params"`
	}
	read := readJSON(w, r, &in)
	operation := opOrder
	if in.Service == "IDS_HS_POPUP_RESULT" {
		operation = opResult
	}
	if s.disturb(w, r, kcbAPI, operation) || !s.sidecar(w, r) {
		return
	}
	reply := map[string]string{"RSLT_CD": "B101", "RSLT_MSG": "요청 항목 오류"}
	switch {
	case !read:
	case in.Service == "IDS_HS_POPUP_START":
		reply = s.kcbStart(in.Params)
	case in.Service == "IDS_HS_POPUP_RESULT":
		reply = s.kcbResult(in.Params)
	}
	reply["CP_CD"], reply["TX_SEQ_NO"] = MemberKCB, digits(20)
	s.answerJSON(w, kcbAPI, operation, reply)
}

func (s *Simulator) kcbStart(params map[string]string) map[string]string {
	if params["SITE_NAME"] == "" || params["SITE_URL"] == "" || len(params["RQST_CAUS_CD"]) != 2 || !returnable(params["RETURN_URL"], 1024) {
		return map[string]string{"RSLT_CD": "B101", "RSLT_MSG": "요청 항목 오류"}
	}
	v := &window{
		api: kcbAPI, title: "KCB 본인확인", site: params["SITE_NAME"], service: PhoneService, number: params["RETURN_MSG"], transaction: rand.Text(), returnURL: params["RETURN_URL"], byPost: true,
	}
	s.open(v)
	return map[string]string{"RSLT_CD": "B000", "RSLT_MSG": "본인인증 완료", "MDL_TKN": v.transaction}
}

var kcbCarriers = map[Carrier]string{SKT: "01", KT: "02", LGU: "03", MVNO: "04"}

func (s *Simulator) kcbResult(params map[string]string) map[string]string {
	v, code := s.fetch(kcbAPI, params["MDL_TKN"])
	if code == "" {
		code = s.take(v.transaction)
	}
	switch {
	case code == resultUnfinished && v.closed:
		return map[string]string{"RSLT_CD": CancelledKCB, "RSLT_MSG": "사용자 취소", "RETURN_MSG": v.number}
	case code != "":
		return map[string]string{"RSLT_CD": "B" + code[1:], "RSLT_MSG": refusals[code]}
	}
	f := s.result(v)
	if f.unknown {
		return map[string]string{"RSLT_CD": resultNobodys, "RSLT_MSG": refusals[resultNobodys]}
	}
	reply := map[string]string{
		"RSLT_CD": "B000", "RSLT_MSG": "본인인증 완료", "RETURN_MSG": f.number, "RSLT_NAME": f.name, "RSLT_BIRTHDAY": f.birthDate,
		"RSLT_SEX_CD": "F", "RSLT_NTV_FRNR_CD": "L", "DI": f.di, "CI": f.ci, "CI_UPDATE": "1", "TEL_COM_CD": kcbCarriers[f.carrier], "TEL_NO": f.phone,
	}
	if f.male {
		reply["RSLT_SEX_CD"] = "M"
	}
	if f.foreign {
		reply["RSLT_NTV_FRNR_CD"] = "F"
	}
	if f.resident != "" {
		reply["SSN"] = f.resident
	}
	return reply
}

// serveCommon opens KCB's window.
func (s *Simulator) serveCommon(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if r.PostFormValue("tc") != "kcb.oknm.online.safehscert.popup.cmd.P931_CertChoiceCmd" || r.PostFormValue("cp_cd") != MemberKCB {
		s.lost(w)
		return
	}
	s.enter(w, r, kcbAPI, r.PostFormValue("mdl_tkn"), "")
}
