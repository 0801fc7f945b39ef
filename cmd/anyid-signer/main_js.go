// Anyid-signer is the program of the joint certificate's page, compiled to WebAssembly (GOOS=js, GOARCH=wasm) by
// `go generate ./internal/web`. It hands two functions to the page's script, as an object, by calling the function
// that it finds as the global anyidSigner, and takes that away:
//
//	list(files, policies)              -> [{id, file, name, issuer, kind, notBefore, notAfter, policy, reason}]
//	sign(files, id, password, request) -> {signed, ucpid, vid} or {code, entries}
//
// Files are [{name, data}]; data and password are Uint8Arrays, of which the password is overwritten; request is
// {content, ucpid, policies, recipient}; dates are YYYY-MM-DD in Korea; issuer and kind are {ko, en}. Neither an
// opened key nor R is ever part of a result.
package main

import (
	"errors"
	"syscall/js"
	"time"

	"github.com/anyid/anyid/internal/signer"
	"github.com/anyid/anyid/pkg/npki"
)

func main() {
	ready := js.Global().Get("anyidSigner")
	js.Global().Delete("anyidSigner")
	ready.Invoke(map[string]any{"list": function(list), "sign": function(sign)})
	select {}
}

// function makes a function for the script. A wrong argument must not end the program.
func function(f func(args []js.Value) any) js.Func {
	return js.FuncOf(func(_ js.Value, args []js.Value) (result any) {
		defer func() {
			if recover() != nil {
				result = map[string]any{"code": string(signer.Failed)}
			}
		}()
		return f(args)
	})
}

func list(args []js.Value) any {
	return entries(signer.List(files(args[0]), texts(args[1]), time.Now()))
}

func sign(args []js.Value) any {
	password := octets(args[2])
	args[2].Call("fill", 0)
	request := args[3]
	answer, choice, err := signer.Sign(files(args[0]), args[1].String(), password, signer.Request{
		Content: text(request, "content"), UCPID: text(request, "ucpid"),
		Policies: texts(request.Get("policies")), Recipient: text(request, "recipient"),
	}, time.Now())
	if err != nil {
		code, ok := errors.AsType[signer.Code](err)
		if !ok {
			code = signer.Failed
		}
		return map[string]any{"code": string(code), "entries": entries(choice)}
	}
	return map[string]any{"signed": answer.Signed, "ucpid": answer.UCPID, "vid": answer.VID}
}

func entries(list []signer.Entry) []any {
	out := make([]any, len(list))
	for i, e := range list {
		out[i] = map[string]any{
			"id": e.ID, "file": e.File, "name": e.Name, "issuer": both(e.Issuer), "kind": both(e.Kind),
			"notBefore": date(e.NotBefore), "notAfter": date(e.NotAfter), "policy": e.Policy, "reason": string(e.Reason),
		}
	}
	return out
}

func both(t signer.Text) map[string]any { return map[string]any{"ko": t.Korean, "en": t.English} }

func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateOnly)
}

// text is a string of an object, or "".
func text(object js.Value, name string) string {
	if v := object.Get(name); v.Type() == js.TypeString {
		return v.String()
	}
	return ""
}

func texts(list js.Value) []string {
	if !list.Truthy() {
		return nil
	}
	out := make([]string, list.Length())
	for i := range out {
		out[i] = list.Index(i).String()
	}
	return out
}

// files copies the files; too large ones stay empty.
func files(list js.Value) []signer.File {
	out := make([]signer.File, min(list.Length(), signer.MaxFiles))
	for i := range out {
		f := list.Index(i)
		out[i].Name = f.Get("name").String()
		if data := f.Get("data"); data.Length() <= npki.MaxFile {
			out[i].Data = octets(data)
		}
	}
	return out
}

func octets(array js.Value) []byte {
	b := make([]byte, array.Length())
	js.CopyBytesToGo(b, array)
	return b
}
