package impair

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Sizes of a queue.
const (
	firstQueue  = 51700   // where the search for a free one begins: services that have their own begin at 0
	queuesTried = 64      //
	maxHeld     = 1 << 16 // packets
	socketRoom  = 16 << 20
	headersRoom = 128 // bytes of a packet that tell what it is
	wholeRoom   = 0xffff
)

// queue is where the kernel hands packets over and waits for a verdict on each. It is used by one goroutine.
type queue struct {
	fd     int
	port   uint32 // its netlink port
	number uint16
	last   uint32 // id of the latest packet: they are consecutive
	in     []byte
	out    []byte // verdicts to be sent
}

// arrived is one packet as the kernel hands it over.
type arrived struct {
	id     uint32
	data   []byte // its beginning; valid until the next one
	length int
	mark   uint32 // the kernel's
}

// decision is what becomes of a packet.
type decision struct {
	id, verdict uint32
	mark        uint32 // what its mark becomes; 0: as it came
	data        []byte // what it becomes; nil: as it came
}

// openQueue binds the first queue that nobody has.
func openQueue(f Fault) (*queue, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, err
	}
	q := &queue{fd: fd, port: drawPort(), in: make([]byte, 1<<17)}
	if err := q.set(f); err != nil {
		return nil, errors.Join(fmt.Errorf("have packets handed over: %w", err), unix.Close(fd))
	}
	return q, nil
}

func (q *queue) set(f Fault) error {
	if err := unix.Bind(q.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: q.port}); err != nil {
		return err
	}
	if unix.SetsockoptInt(q.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketRoom) != nil {
		_ = unix.SetsockoptInt(q.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, socketRoom) // as much as it gets; what does not fit is counted as missed
	}
	if err := q.bind(); err != nil {
		return err
	}
	room := uint32(headersRoom)
	if f.Corrupt > 0 {
		room = wholeRoom
	}
	params := append(binary.BigEndian.AppendUint32(nil, room), copyPacket)
	flags := uint32(0)
	if !f.Drop {
		flags |= flagFailOpen
	}
	if f.Rate == 0 && f.Loss == 0 && f.Corrupt == 0 && f.Reorder == 0 && f.Double == 0 {
		flags |= flagGSO
	}
	return errors.Join(
		q.configure(netlink.Attribute{Type: cfgParams, Data: params}),
		q.configure(word(cfgMaxLen, maxHeld)),
		q.configure(word(cfgMask, flagFailOpen|flagGSO), word(cfgFlags, flags)),
	)
}

func word(kind uint16, value uint32) netlink.Attribute {
	return netlink.Attribute{Type: kind, Data: binary.BigEndian.AppendUint32(nil, value)}
}

func (q *queue) bind() error {
	command := netlink.Attribute{Type: cfgCommand, Data: []byte{commandBind, 0, 0, 0}}
	var err error
	for n := range uint16(queuesTried) {
		q.number = firstQueue + n
		err = q.configure(command)
		if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EBUSY) {
			return err // EPERM is somebody else's, or nobody may
		}
	}
	return err
}

// configure sends one message and waits for the kernel's word on it. Packets do not come before rules hand them over.
func (q *queue) configure(attrs ...netlink.Attribute) error {
	data, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		return err
	}
	m := netlink.Message{Header: netlink.Header{Type: msgConfig, Flags: netlink.Request | netlink.Acknowledge}, Data: append(header(unix.NFPROTO_UNSPEC, q.number), data...)}
	m.Header.Length = uint32(unix.NLMSG_HDRLEN + len(m.Data))
	text, err := m.MarshalBinary()
	if err != nil {
		return err
	}
	if err := unix.Sendto(q.fd, text, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	if err := await(q.fd, kernelAnswer); err != nil {
		return err
	}
	n, _, err := unix.Recvfrom(q.fd, q.in, 0)
	if err != nil {
		return err
	}
	if n < unix.NLMSG_HDRLEN+4 {
		return errors.New("the kernel's answer is too short")
	}
	if code := int32(binary.NativeEndian.Uint32(q.in[unix.NLMSG_HDRLEN:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// await waits until there is something to read.
func await(fd int, within time.Duration) error {
	ready, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(within.Milliseconds()))
	if err == nil && ready == 0 {
		err = unix.ETIMEDOUT
	}
	return err
}

// receive calls each for the packets that wait, at most so many, and answers how many did not fit the socket before them. It does not wait.
func (q *queue) receive(most int, each func(arrived)) (missed int64, err error) {
	next := func(a arrived) {
		if q.last != 0 {
			missed += int64(a.id - q.last - 1)
		}
		q.last = a.id
		each(a)
	}
	for range most {
		n, _, err := unix.Recvfrom(q.fd, q.in, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
			return missed, nil
		case errors.Is(err, unix.ENOBUFS): // how many were lost shows in the next one's id
		case err != nil:
			return missed, fmt.Errorf("read packets: %w", err)
		default:
			if err := read(q.in[:n], next); err != nil {
				return missed, err
			}
		}
	}
	return missed, nil
}

// bound looks whether the kernel still has the queue as ours.
func (q *queue) bound() error {
	const list = "/proc/self/net/netfilter/nfnetlink_queue"
	text, err := os.ReadFile(list)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // there are kernels without it
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) > 1 && f[0] == strconv.Itoa(int(q.number)) && f[1] == strconv.Itoa(int(q.port)) {
			return nil
		}
	}
	return errors.New("the kernel hands no packets over any more")
}

// decide notes a decision, to be sent with the next flush.
func (q *queue) decide(d decision) {
	length := unix.NLMSG_HDRLEN + 4 + unix.NLA_HDRLEN + 8
	if d.mark != 0 {
		length += unix.NLA_HDRLEN + 4
	}
	if d.data != nil {
		length += unix.NLA_HDRLEN + len(d.data)
	}
	b := q.out
	b = binary.NativeEndian.AppendUint32(b, uint32(length))
	b = binary.NativeEndian.AppendUint16(b, msgVerdict)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0) // sequence and port: the kernel does not look at them
	b = append(b, header(unix.NFPROTO_UNSPEC, q.number)...)
	b = binary.NativeEndian.AppendUint16(b, unix.NLA_HDRLEN+8)
	b = binary.NativeEndian.AppendUint16(b, attrVerdict)
	b = binary.BigEndian.AppendUint32(b, d.verdict)
	b = binary.BigEndian.AppendUint32(b, d.id)
	if d.mark != 0 {
		b = binary.NativeEndian.AppendUint16(b, unix.NLA_HDRLEN+4)
		b = binary.NativeEndian.AppendUint16(b, attrMark)
		b = binary.BigEndian.AppendUint32(b, d.mark)
	}
	if d.data != nil {
		b = binary.NativeEndian.AppendUint16(b, uint16(unix.NLA_HDRLEN+len(d.data)))
		b = binary.NativeEndian.AppendUint16(b, attrPayload)
		b = append(b, d.data...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	q.out = b
}

// sentAtOnce is how many bytes of verdicts go into one message: more would not fit the socket.
const sentAtOnce = 32 << 10

// flush sends the verdicts that were noted.
func (q *queue) flush() error {
	if len(q.out) == 0 {
		return nil
	}
	err := error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		err = unix.Sendto(q.fd, q.out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}
	q.out = q.out[:0]
	if err != nil {
		return fmt.Errorf("send verdicts: %w", err)
	}
	return nil
}

func (q *queue) close() error { return unix.Close(q.fd) }
