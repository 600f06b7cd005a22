// Package larspb holds the messages that Lars speaks, as C++ peers know them.
//
// lars.pb.go is generated from lars.proto (make generate). Beside it stand
// the frame that carries a message, the ids, the return codes with their
// errors, and codecs without allocation for the messages of the hot paths.
// Everything here is pure and safe for concurrent use.
//
// # The wire
//
// A frame is the message id and the length of the body, each a little-endian
// int32, and the body, a proto3 message of at most [MaxBody] bytes. A UDP
// datagram holds exactly one frame. Ids up to 8 and fields up to number 9 are
// those of the C++ peers. Ids from 100 and fields from number 10 are additions:
// C++ peers skip the fields and know none of the ids.
//
//	id   message                from -> to                level
//	1    GetRouteRequest        agent -> dns              0
//	2    GetRouteResponse       dns -> agent              0
//	3    ReportStatusRequest    agent -> reporter         0
//	4    GetHostRequest         program -> agent          0
//	5    GetHostResponse        agent -> program          0
//	6    ReportRequest          program -> agent          0
//	7    API_GetRouteRequest    program -> agent          0
//	8    API_GetRouteResponse   agent -> program          0
//	100  Challenge              dns, reporter -> agent    0, only with a secret
//	101  Proof                  agent -> dns, reporter    0, only with a secret
//	103  Unsubscribe            agent -> dns              1
//	104  ReportAck              reporter -> agent         1
//	105  Ping                   agent -> dns, reporter    1
//	106  Pong                   dns, reporter -> agent    1
//	107  Hello                  both ways                 1
//	108  ServerProof            dns, reporter -> agent    1
//
// Reserved: 102 and 109 to 114 (Names, Announce, AnnounceAck, Withdraw,
// EditNotice, Draining).
//
//	message               field of ours    number
//	GetRouteRequest       seq              10      answered in the same field; 0: not used
//	                      zone             11      of the agent, at most 32 bytes
//	                      level            12      of the agent
//	GetRouteResponse      seq              10
//	                      truncated        11      hosts are left out
//	                      version          12      of the table that dns has loaded; 0: not known
//	                      stale            13      dns could not confirm its table lately
//	                      removed          14      empty because an edit made it so
//	                      level            15      of dns or the agent
//	                      settings         16      up to 32, each with a key and a value of at most 128 bytes
//	HostInfo              weight           10      up to 10,000; not set: 100; 0 drains the host
//	                      zone             11      of the host, at most 32 bytes; 12 is reserved for an address of 16
//	GetHostRequest        avoid            10      a host that is wanted only if there is no other
//	                      level            11      of the program; at least 1 takes a ticket
//	GetHostResponse       ticket           10      of the pick; 0: none
//	ReportRequest         ticket           10      as in the answer; 0: none
//	                      latency_us       11      of the call; 0: not measured
//	                      kind             12      how the call failed
//	ReportStatusRequest   run              10      random for each start of the agent, never 0
//	                      number           11      of the report within the run, from 1
//	                      level            12      of the agent
//	                      span_ms          13      since the first call that is new; 0: not known
//	HostCallResult        total_succ, total_err  10, 11  calls since the agent knows the host
//	                      refused, timeout       12, 13  of total_err, by kind
//	                      latency_us_sum         14      of all calls that were measured
//	                      state, reason          15, 16  a HostState, a HostReason
//	                      latency                17      of the calls that were measured: see package history
//	                      ejections, reinstatements  18, 19  totals
//	                      since                  20      when the totals began
//	Challenge             level            2       of the server
//	Proof                 nonce, role      2, 3    see package access
//
// A peer sends an id above 101 only on a connection on which it has seen a
// level of at least 1, or another id above 101, and forgets that when the
// connection ends. Requests of an agent of this project carry their level;
// servers answer with theirs. Anybody else is treated as a C++ peer: dns
// leaves version, stale, removed, level, settings, weights and zones out of its
// answers, and hosts of weight 0, which such an agent would call. An agent does
// the same for programs, and leaves span_ms and what follows total_err out of its
// reports until the reporter has shown a level on this connection.
// [RouteAnswer.Append] writes settings, weights and zones only with a level.
//
// Programs say the same for themselves: an agent gives a ticket only to a
// GetHostRequest with a level of at least 1. Old agents skip avoid, and answer
// without a ticket. KIND_IGNORED takes the call out of every count; an agent
// without tickets would count it by its retcode, so it is sent only with one.
//
// No frame to a dns service is empty, because the C++ dns aborts on one: see
// [RouteQuery.AppendPull]. C++ peers want one frame per write.
//
// What does not fit a frame is left out of a route, with the mark truncated,
// and goes into one more frame with the results of a report. The room is
// computed from the sizes of the fields that are written; a test holds that no
// message exceeds [MaxBody] when all of its fields are as long as they can be.
//
// Parse takes a route with what is beyond a limit: it leaves out a zone or a
// setting, and makes a weight the greatest one. [RouteAnswer] counts that. Text
// that is not UTF-8 makes a message broken, as the generated code has it.
//
// An answer whose version is older than that of the agent's route is dropped
// only if it is stale. One that is equal, newer or without a version is taken.
package larspb
