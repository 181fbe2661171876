// Command gvisor measures gVisor's netstack for `npm run bench`: two stacks in one process, joined by
// its link "pipe", on one processor. bench/peers/gvisor.ts builds and runs it.
//
//	gvisor bulk|mtu|rr|udp SECONDS
//	gvisor connect SECONDS AT-ONCE
//
// It prints the Figure of bench/measure.ts, and warms up and repeats as that does. It is written for
// the interface of December 2022, which Debian 12 has (golang-gvisor-gvisor-dev).
//
// What is in gVisor's favour: the pipe hands a packet to the other stack in the call that sends it,
// by reference; with offloads, as veth has them, no checksum is computed and a packet may have 64
// KiB; nothing asks for link addresses. A link with a queue (channel) needs a goroutine on each side,
// one over shared memory or a descriptor (sharedmem, fdbased) copies too. MTU 65535 instead of
// offloads was no faster. Go's default garbage collection is as fast as a lazier one.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	nic       = 1
	port      = 5555
	mtu       = 1500
	chunkSize = 64 << 10
	// How many datagrams are under way at once.
	batch = 64
	// The buffers that bulk data was fastest with; a fifth slower at the default, 1 MiB.
	bufferSize    = 4 << 20
	maxBufferSize = 8 << 20
	// What a packet may have where the link takes larger ones than its MTU, with its IPv4 header.
	gsoMaxSize = 65535
	// Between two looks at the processor's clock, in seconds of it.
	lookSeconds = 0.02
	// What is warmed up for, in parts of what is measured for.
	warmup = 0.75
)

func fail(what string) {
	fmt.Fprintln(os.Stderr, "gvisor: "+what)
	os.Exit(1)
}

func check(err tcpip.Error, what string) {
	if err != nil {
		fail(what + ": " + err.String())
	}
}

func wouldBlock(err tcpip.Error) bool {
	_, is := err.(*tcpip.ErrWouldBlock)
	return is
}

// cable is an end of a pipe that computes no checksums, and takes segments of 64 KiB if gso is set.
type cable struct {
	*pipe.Endpoint
	gso bool
}

var _ stack.GSOEndpoint = (*cable)(nil)

func (*cable) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityRXChecksumOffload | stack.CapabilityTXChecksumOffload
}

func (*cable) GSOMaxSize() uint32 { return gsoMaxSize }

func (c *cable) SupportedGSO() stack.SupportedGSO {
	if c.gso {
		return stack.HostGSOSupported
	}
	return stack.GSONotSupported
}

// host is a stack with one address.
type host struct {
	stack   *stack.Stack
	address tcpip.Address
}

func newHost(address tcpip.Address, link stack.LinkEndpoint) host {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	cubic := tcpip.CongestionControlOption("cubic")
	sack := tcpip.TCPSACKEnabled(true)
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	for _, option := range []tcpip.SettableTransportProtocolOption{
		&cubic, &sack, &moderate,
		&tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: bufferSize, Max: maxBufferSize},
		&tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: bufferSize, Max: maxBufferSize},
	} {
		check(s.SetTransportProtocolOption(tcp.ProtocolNumber, option), fmt.Sprintf("%T", option))
	}
	check(s.CreateNIC(nic, link), "interface")
	check(s.AddProtocolAddress(nic, tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: address, PrefixLen: 24},
	}, stack.AddressProperties{}), "address")
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}})
	return host{s, address}
}

// socket is an endpoint and the channel that tells of its events, registered once, as Go's own
// sockets are with epoll.
type socket struct {
	tcpip.Endpoint
	events chan struct{}
}

func newSocket(ep tcpip.Endpoint, queue *waiter.Queue) socket {
	entry, events := waiter.NewChannelEntry(
		waiter.ReadableEvents | waiter.WritableEvents | waiter.EventErr | waiter.EventHUp)
	queue.EventRegister(&entry)
	return socket{ep, events}
}

func (h host) socket(protocol tcpip.TransportProtocolNumber) socket {
	queue := new(waiter.Queue)
	ep, err := h.stack.NewEndpoint(protocol, ipv4.ProtocolNumber, queue)
	check(err, "socket")
	return newSocket(ep, queue)
}

func (h host) listen() socket {
	s := h.socket(tcp.ProtocolNumber)
	check(s.Bind(tcpip.FullAddress{Port: port}), "bind")
	check(s.Listen(4096), "listen")
	return s
}

func (s socket) accept() socket {
	for {
		ep, queue, err := s.Accept(nil)
		if err == nil {
			return newSocket(ep, queue)
		}
		if !wouldBlock(err) {
			check(err, "accept")
		}
		<-s.events
	}
}

// usesCubic makes sure of it.
func (s socket) usesCubic() {
	var name tcpip.CongestionControlOption
	check(s.GetSockOpt(&name), "congestion control")
	if name != "cubic" {
		fail("a socket uses " + string(name))
	}
}

// connect opens a connection to what listens at the other host and returns its two ends.
func connect(client, server host, listener socket) (out, in socket) {
	out = client.socket(tcp.ProtocolNumber)
	err := out.Connect(tcpip.FullAddress{Addr: server.address, Port: port})
	if _, started := err.(*tcpip.ErrConnectStarted); !started {
		check(err, "connect")
	}
	in = listener.accept()
	for out.Readiness(waiter.WritableEvents) == 0 {
		<-out.events
	}
	return out, in
}

// send returns how many bytes of data were taken, having waited until it is at least one.
func (s socket) send(data []byte) int {
	var reader bytes.Reader
	for {
		reader.Reset(data)
		n, err := s.Write(&reader, tcpip.WriteOptions{})
		if err == nil {
			return int(n)
		}
		if !wouldBlock(err) {
			check(err, "write")
		}
		<-s.events
	}
}

// receive returns how many bytes came, having waited for them.
func (s socket) receive(buffer []byte) int {
	for {
		writer := tcpip.SliceWriter(buffer)
		result, err := s.Read(&writer, tcpip.ReadOptions{})
		if err == nil {
			return result.Count
		}
		if !wouldBlock(err) {
			check(err, "read")
		}
		<-s.events
	}
}

// bulk writes 64 KiB at a time in one goroutine and reads in another, and looks at what comes once a page.
func bulk(client, server host) func() int {
	out, in := connect(client, server, server.listen())
	out.usesCubic()
	in.usesCubic()
	chunk := make([]byte, chunkSize)
	for i := range chunk {
		chunk[i] = byte(i*7 ^ i>>8)
	}
	go func() {
		for sent := 0; ; {
			sent += out.send(chunk[sent%chunkSize:])
		}
	}()
	buffer := make([]byte, chunkSize)
	received := 0
	return func() int {
		before := received
		for received < before+16*chunkSize {
			n := in.receive(buffer)
			for i := 0; i < n; i += 4093 {
				if buffer[i] != chunk[(received+i)%chunkSize] {
					fail(fmt.Sprintf("byte %d is wrong", received+i))
				}
			}
			received += n
		}
		return received - before
	}
}

func roundTrips(client, server host) func() int {
	out, in := connect(client, server, server.listen())
	one := []byte{1}
	return func() int {
		for i := 0; i < 100; i++ {
			out.send(one)
			in.receive(one)
			in.send(one)
			out.receive(one)
		}
		return 100
	}
}

// connections opens all, lets each exchange its bytes, closes all. The client resets, as elsewhere in
// the bench, so that ports suffice.
func connections(client, server host, atOnce int) func() int {
	listener := server.listen()
	outs := make([]socket, atOnce)
	ins := make([]socket, atOnce)
	one := []byte{1}
	return func() int {
		for i := range outs {
			outs[i], ins[i] = connect(client, server, listener)
		}
		for _, out := range outs {
			out.send(one)
		}
		for _, in := range ins {
			in.receive(one)
			in.send(one)
		}
		for i, out := range outs {
			out.receive(one)
			out.SocketOptions().SetLinger(tcpip.LingerOption{Enabled: true})
			out.Close()
			ins[i].Close()
		}
		return atOnce
	}
}

// datagrams sends a batch of 64 bytes each, then receives it; what is received counts.
func datagrams(client, server host) func() int {
	in := server.socket(udp.ProtocolNumber)
	in.SocketOptions().SetReceiveBufferSize(1<<20, true)
	check(in.Bind(tcpip.FullAddress{Port: port}), "bind")
	out := client.socket(udp.ProtocolNumber)
	check(out.Connect(tcpip.FullAddress{Addr: server.address, Port: port}), "connect")
	datagram := make([]byte, 64)
	for i := range datagram {
		datagram[i] = byte(i)
	}
	buffer := make([]byte, 128)
	var sent, received byte
	return func() int {
		for i := 0; i < batch; i++ {
			datagram[0] = sent
			sent++
			out.send(datagram)
		}
		for i := 0; i < batch; i++ {
			n := in.receive(buffer)
			if n != len(datagram) || buffer[0] != received || buffer[63] != 63 {
				fail("a datagram is wrong")
			}
			received++
		}
		return batch
	}
}

// cpuSeconds is the processor time of all threads so far, garbage collection included.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err.Error())
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

// repeat does work until it took that much processor time, and returns how much was done.
func repeat(work func() int, seconds float64) (count int) {
	now := cpuSeconds()
	end := now + seconds
	for times := 1; now < end; {
		for i := 0; i < times; i++ {
			count += work()
		}
		before := now
		now = cpuSeconds()
		if now-before < lookSeconds {
			times *= 2
		}
	}
	return count
}

// figure is bench/measure.ts's Figure.
type figure struct {
	Unit        string  `json:"unit"`
	Count       int     `json:"count"`
	CPUSeconds  float64 `json:"cpuSeconds"`
	WallSeconds float64 `json:"wallSeconds"`
}

// prepare returns the work of a mode and what it counts.
func prepare(mode string, client, server host) (work func() int, unit string) {
	switch mode {
	case "bulk", "mtu":
		return bulk(client, server), "bytes"
	case "rr":
		return roundTrips(client, server), "round trips"
	case "udp":
		return datagrams(client, server), "datagrams"
	case "connect":
		atOnce, err := strconv.Atoi(os.Args[3])
		if err != nil {
			fail(err.Error())
		}
		return connections(client, server, atOnce), "connections"
	}
	fail("there is no " + mode)
	return nil, ""
}

func main() {
	runtime.GOMAXPROCS(1)
	if len(os.Args) < 3 || os.Args[1] == "connect" && len(os.Args) < 4 {
		fail("which, for how many seconds, and for connect how many at once?")
	}
	mode := os.Args[1]
	seconds, err := strconv.ParseFloat(os.Args[2], 64)
	if err != nil {
		fail(err.Error())
	}
	left, right := pipe.New("\x02\x00\x00\x00\x00\x01", "\x02\x00\x00\x00\x00\x02", mtu)
	gso := mode != "mtu"
	client := newHost("\x0a\x63\x00\x01", &cable{left, gso})
	server := newHost("\x0a\x63\x00\x02", &cable{right, gso})
	work, unit := prepare(mode, client, server)
	repeat(work, seconds*warmup)
	cpu, start := cpuSeconds(), time.Now()
	count := repeat(work, seconds)
	result := figure{unit, count, cpuSeconds() - cpu, time.Since(start).Seconds()}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		fail(err.Error())
	}
}
