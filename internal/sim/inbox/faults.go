package inbox

import (
	"net"
	"time"

	"github.com/anyid/anyid/internal/sim"
)

// The faults. Each can be limited to calls with one key: a channel ("mail", "webhook"), or the e-mail address or
// phone number that a message is for.
const (
	FaultRefuse      = "refuse"
	FaultServerError = "server-error"
	FaultSlow        = "slow"
	FaultHang        = "hang"
	FaultDrop        = "drop"
	FaultTwice       = "twice"
)

var faultTable = []sim.Fault{
	{Name: FaultRefuse, Meaning: "a message is refused for good: 550 to RCPT, or HTTP 422"},
	{Name: FaultServerError, Meaning: "a message is not taken for now: 451 after DATA, or HTTP 500"},
	{Name: FaultSlow, Meaning: "a message is taken delay_ms later, 10 seconds unless said"},
	{Name: FaultHang, Meaning: "a message is read and never answered"},
	{Name: FaultDrop, Meaning: "the connection is closed while a message is read"},
	{Name: FaultTwice, Meaning: "a message is taken, and the connection is closed instead of the answer, so that it comes again"},
}

const usualDelay = 10 * time.Second

// reset closes a connection the hard way, as a peer that dies does.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
