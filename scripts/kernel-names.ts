/**
 * The functions and structures that a reader of books and articles about Linux's network stack looks for:
 * those on the paths of a packet in and out, of sockets and of devices, as Linux 3.2 spelt them, since most
 * texts do. A test holds that each is in the kernel map; the map's last chapters are made from the rest of
 * this list.
 */

/** Names that stand in the kernel map as they are. */
const FUNCTIONS: Readonly<Record<string, string>> = {
  'soft interrupts': `
    softirq_init open_softirq __raise_softirq_irqoff raise_softirq do_softirq run_ksoftirqd request_irq free_irq`,
  'packet buffers': `
    alloc_skb netdev_alloc_skb kfree_skb dev_kfree_skb_any consume_skb skb_get skb_clone skb_copy
    pskb_expand_head skb_reserve skb_put skb_push skb_pull skb_trim skb_headroom skb_tailroom
    skb_reset_mac_header skb_reset_network_header skb_reset_transport_header skb_queue_tail __skb_queue_tail
    skb_copy_datagram_iter ip_hdrlen`,
  devices: `
    alloc_etherdev register_netdev register_netdevice unregister_netdev call_netdevice_notifiers list_netdevice
    __dev_open dev_open dev_close dev_activate dev_deactivate netdev_priv dev_hold dev_put
    netif_start_queue netif_stop_queue netif_tx_stop_queue netif_wake_queue netif_queue_stopped
    netif_carrier_on netif_carrier_off netdev_get_tx_queue dev_watchdog dev_add_pack eth_type_trans`,
  'a driver': `
    e1000_probe e1000_open e1000_close e1000_configure e1000_irq_enable e1000_intr e1000_clean
    e1000_clean_rx_irq e1000_clean_tx_irq e1000_xmit_frame e1000_netdev_ops e1000_ethtool_ops`,
  'a packet comes in': `
    napi_schedule ____napi_schedule napi_enable napi_disable napi_complete net_rx_action napi_gro_receive
    netif_receive_skb __netif_receive_skb __netif_receive_skb_core deliver_skb netif_rx enqueue_to_backlog
    process_backlog ip_rcv ip_rcv_finish ip_route_input_noref dst_input ip_local_deliver
    ip_local_deliver_finish ip_forward arp_rcv tcp_v4_rcv tcp_v4_do_rcv tcp_rcv_established tcp_data_queue
    tcp_data_snd_check tcp_ack udp_rcv sock_queue_rcv_skb sock_def_readable __inet_lookup_established
    inet_ehashfn`,
  'a packet goes out': `
    sock_sendmsg tcp_sendmsg tcp_push tcp_write_xmit tcp_transmit_skb udp_sendmsg sock_alloc_send_skb
    ip_queue_xmit ip_send_skb ip_push_pending_frames ip_route_output_flow ip_local_out __ip_local_out
    nf_hook NF_HOOK dst_output ip_output ip_finish_output ip_finish_output2 ip_fragment neigh_output
    dev_queue_xmit __dev_queue_xmit __dev_xmit_skb __qdisc_drop qdisc_run sch_direct_xmit
    dev_hard_start_xmit net_tx_action do_sendfile splice_direct_to_actor`,
  sockets: `
    sock_create sock_alloc sock_release sock_register sock_unregister sock_map_fd get_unused_fd_flags
    sock_alloc_file fd_install socket_file_ops net_families inet_create inet_family_ops inet_stream_ops
    inet_dgram_ops packet_family_ops unix_family_ops sk_alloc sk_free sock_init_data lock_sock release_sock
    inet_sk tcp_sk tcp_prot udp_prot tcp_v4_init_sock tcp_v4_connect tcp_connect tcp_v4_conn_request
    tcp_rcv_state_process tcp_rcv_synsent_state_process`,
  routes: 'ip_route_input fib_lookup rt_dst_alloc',
  contexts: `
    rtnl_lock rtnl_unlock rcu_read_lock rcu_read_unlock synchronize_rcu call_rcu smp_processor_id might_sleep
    lockdep_is_held ptype_all ptype_head list_add_tail list_empty test_bit`,
};

const STRUCTURES: Readonly<Record<string, string>> = {
  structures: `
    sk_buff sk_buff_head skb_shared_info net_device net_device_ops ethtool_ops header_ops netdev_queue
    napi_struct softnet_data packet_type Qdisc Qdisc_ops socket sock sock_common inet_sock tcp_sock request_sock
    proto proto_ops net_proto_family dst_entry dst_ops rtable in_device neighbour net sk_filter file msghdr
    ifreq ethhdr iphdr tcphdr udphdr e1000_adapter pci_dev rtnl_link_stats64`,
};

/** A name of older kernels or of a header, and the tag under which the map has what it became. */
export interface Renamed {
  readonly name: string;
  readonly today: string;
  readonly why: string;
}

const CALL = "system calls are the task's table of functions; this does the work";
const HEADER =
  'headers are accessors over an address: `x(view, skb.networkHeader)` in place of a cast';

export const RENAMED: readonly Renamed[] = [
  ...(
    [
      ['sys_socket', '__sys_socket'],
      ['sys_bind', '__sys_bind'],
      ['sys_listen', '__sys_listen'],
      ['sys_accept', '__sys_accept4'],
      ['sys_connect', '__sys_connect'],
      ['sys_sendto', '__sys_sendto'],
      ['sys_sendmsg', '__sys_sendmsg'],
      ['sys_recvfrom', '__sys_recvfrom'],
      ['sys_sendfile', 'do_sendfile'],
    ] as const
  ).map(([name, today]) => ({ name, today, why: CALL })),
  { name: 'ip_hdr', today: 'iphdr', why: HEADER },
  { name: 'tcp_hdr', today: 'tcphdr', why: HEADER },
  { name: 'tcp_hdrlen', today: 'tcphdr', why: '`tcphdr.doff(view, th) * 4`' },
  { name: 'udp_hdr', today: 'udphdr', why: HEADER },
  { name: 'eth_hdr', today: 'ethhdr', why: HEADER },
  { name: 'skb_shinfo', today: 'skb_shared_info', why: 'a field: `skb.shinfo`' },
  {
    name: 'do_splice_direct',
    today: 'splice_direct_to_actor',
    why: 'files are copied through a buffer',
  },
  {
    name: 'ndo_get_stats',
    today: 'net_device_ops',
    why: '`ndo_get_stats64`: one set of counters',
  },
  { name: 'wait_queue_head_t', today: 'wait_queue_head', why: 'the same' },
  {
    name: 'pfifo_fast',
    today: 'pfifo_fast_ops',
    why: 'the qdisc of devices unless told otherwise',
  },
  { name: 'tbf', today: 'tbf_qdisc_ops', why: 'the token bucket filter' },
  { name: 'fq_codel', today: 'fq_codel_qdisc_ops', why: 'flows that take turns' },
  { name: 'virtio_net', today: 'virtio_net_driver', why: 'the driver' },
  { name: 'skb_get_rxhash', today: 'skb_get_hash', why: 'renamed in 3.14' },
  {
    name: 'skb_copy_to_page',
    today: 'copy_from_iter',
    why: 'since 3.19 user data comes from an iov_iter',
  },
  {
    name: 'memcpy_fromiovec',
    today: 'copy_from_iter',
    why: 'the iovec became an iov_iter in 3.19',
  },
  { name: 'kiocb', today: 'msghdr', why: 'sendmsg lost its kiocb in 4.1' },
  {
    name: '__sock_sendmsg',
    today: 'sock_sendmsg',
    why: 'one function: there is no security hook between',
  },
  { name: 'dev_pick_tx', today: 'netdev_core_pick_tx', why: 'renamed in 3.14 and 5.2' },
  { name: 'netdev_start_xmit', today: 'xmit_one', why: 'calls ndo_start_xmit itself' },
  { name: 'qdisc_lock', today: 'qdisc_run_begin', why: 'the running bit remains of the lock' },
  { name: 'netif_napi_add', today: 'netif_napi_add_weight', why: 'split in 6.1' },
  { name: 'dev_new_index', today: 'dev_index_reserve', why: 'renamed in 6.6' },
  {
    name: 'netdev_init_queues',
    today: 'netif_alloc_netdev_queues',
    why: 'at allocation since 3.3',
  },
  { name: 'dev_watchdog_up', today: 'netdev_watchdog_up', why: 'renamed in 5.9' },
  {
    name: 'e1000_setup_all_tx_resources',
    today: 'e1000_setup_tx_resources',
    why: 'the chip has one ring',
  },
  {
    name: 'e1000_setup_all_rx_resources',
    today: 'e1000_setup_rx_resources',
    why: 'the chip has one ring',
  },
  { name: 'ksoftirqd', today: 'run_ksoftirqd', why: 'its turn comes from the host of the machine' },
  { name: 'tcp_rcv_state_machine', today: 'tcp_rcv_state_process', why: 'a slip of some texts' },
  {
    name: 'tcp_v4_hnd_req',
    today: 'tcp_check_req',
    why: 'requests are in the hash of connections since 4.4',
  },
  { name: 'INET_MATCH', today: 'inet_match', why: 'a function since 5.17' },
  { name: 'TCP_SKB_CB', today: 'tcp_skb_cb', why: 'a field: `skb.tcpCb`' },
  {
    name: 'inet_ehash_bucket',
    today: 'inet_hashinfo',
    why: 'a bucket is the first sock of its chain',
  },
  {
    name: 'rt_hash_table',
    today: 'rt_cache_route',
    why: 'the route cache went in 3.6; a nexthop keeps its routes',
  },
  { name: 'rt_hash_insert', today: 'rt_cache_route', why: 'the route cache went in 3.6' },
  { name: 'sk_for_each_rcu', today: '__inet_lookup_established', why: 'a loop over the chain' },
  {
    name: '__lock_sock',
    today: 'lock_sock',
    why: 'nobody can hold the lock while another task runs',
  },
  {
    name: 'bh_lock_sock',
    today: 'sock_owned_by_user',
    why: 'one thread: only the owner is asked for',
  },
  { name: 'socket_lock_t', today: 'sock_owned_by_user', why: 'the owner alone: `sk.skLockOwned`' },
  { name: 'socket_wq', today: 'wait_queue_head', why: 'the wait queue itself' },
  {
    name: 'net_device_stats',
    today: 'rtnl_link_stats64',
    why: 'one set of counters, 53 bits wide',
  },
  { name: 'rb_node', today: 'rb_root', why: 'a packet has the links itself' },
  { name: 'rcu_head', today: 'call_rcu', why: 'takes a function' },
  {
    name: 'inode',
    today: 'sock_alloc',
    why: "a socket's file refers to the socket; there is no inode",
  },
  {
    name: 'trace_netif_receive_skb',
    today: 'tracepoint_probe_register',
    why: '`trace.net.netifReceiveSkb.probe`',
  },
];

/** What C or several CPUs need and one thread does not; where what it protects is checked instead. */
export const NO_COUNTERPART: readonly { readonly names: string; readonly why: string }[] = [
  {
    names:
      'spinlock_t spin_lock spin_unlock spin_lock_bh preempt_disable net_family_lock dev_base_lock',
    why: 'a machine is in one thread, so no lock; debug builds check the contexts that the locks stand for (kernel/lockdep.ts)',
  },
  {
    names: 'rcu_dereference rcu_assign_pointer rcu_dereference_protected RCU_INIT_POINTER',
    why: 'a reference; callbacks still run after the present soft interrupt (kernel/rcu.ts)',
  },
  {
    names: 'smp_rmb smp_wmb READ_ONCE WRITE_ONCE',
    why: 'a machine is in one thread, so memory is in order',
  },
  {
    names: '__get_cpu_var this_cpu_ptr per_cpu __this_cpu_inc alloc_percpu',
    why: 'what is per CPU is an array by number of the CPU (`softnetData[cpu.id]`)',
  },
  { names: 'test_and_set_bit set_bit atomic_t', why: 'plain arithmetic on numbers' },
  {
    names: 'htons htonl ntohs ntohl',
    why: 'accessors give host order; the debug view refuses little-endian access',
  },
  {
    names: 'list_head list_first_entry list_for_each_entry_rcu',
    why: 'intrusive links of their own type, or arrays where lists are short',
  },
  {
    names: 'ktime_t sk_buff_data_t memcpy kfree new_inode try_module_get likely unlikely',
    why: "the language's business",
  },
];

/** Not built yet, each with what it belongs to. */
export const ABSENT: readonly { readonly names: string; readonly why: string }[] = [
  { names: 'inet6_dev', why: 'IPv6: only its seats are there' },
  { names: 'netpoll_rx', why: 'netpoll serves consoles over the network; there is none' },
  { names: 'ndo_vlan_rx_add_vid ndo_vlan_rx_kill_vid', why: 'VLAN devices come later' },
  { names: 'xdp_md', why: 'XDP comes with BPF' },
  { names: 'iptable_filter nf_conntrack_core', why: 'the hooks are called; rules come later' },
  { names: 'htb', why: 'comes later' },
];

/** The members of ops tables and structures that drivers and protocols fill in. */
export const MEMBERS: Readonly<Record<string, { readonly file: string; readonly names: string }>> =
  {
    net_device_ops: {
      file: 'src/include/linux/netdevice.ts',
      names: `ndo_init ndo_uninit ndo_open ndo_stop ndo_start_xmit ndo_select_queue ndo_set_mac_address
      ndo_validate_addr ndo_do_ioctl ndo_change_mtu ndo_tx_timeout ndo_get_stats64 ndo_set_rx_mode`,
    },
    net_device: {
      file: 'src/include/linux/netdevice.ts',
      names: `name ifindex state features hw_features stats netdev_ops ethtool_ops header_ops flags mtu type
      hard_header_len dev_addr broadcast addr_len ip_ptr ip6_ptr num_rx_queues num_tx_queues qdisc tx_queue_len
      reg_state napi_list irq mem_start base_addr`,
    },
    sk_buff: {
      file: 'src/include/linux/skbuff.ts',
      names: `next prev tstamp sk dev len data_len mac_len hdr_len csum csum_start csum_offset priority cloned
      ip_summed nohdr pkt_type fclone peeked nf_trace protocol destructor hash queue_mapping vlan_tci
      transport_header network_header mac_header tail end head data truesize users`,
    },
    sock: {
      file: 'src/include/net/sock.ts',
      names: `sk_receive_queue sk_write_queue sk_forward_alloc sk_rcvbuf sk_sndbuf sk_filter sk_wq sk_wmem_alloc
      sk_shutdown sk_protocol sk_type sk_dst_cache sk_prot sk_state_change sk_data_ready sk_write_space
      sk_error_report sk_backlog_head`,
    },
    sock_common: {
      file: 'src/include/net/sock_common.ts',
      names: 'skc_family skc_daddr skc_dport skc_num',
    },
    socket: { file: 'src/include/linux/net.ts', names: 'state type flags wq file sk ops' },
    softnet_data: {
      file: 'src/include/linux/netdevice.ts',
      names:
        'output_queue poll_list completion_queue process_queue processed time_squeeze dropped input_pkt_queue backlog',
    },
    napi_struct: {
      file: 'src/include/linux/netdevice.ts',
      names: 'state weight poll dev skb',
    },
    dst_entry: { file: 'src/include/net/dst.ts', names: 'dev input output expires lastuse ops' },
    proto_ops: {
      file: 'src/include/linux/net.ts',
      names:
        'family release bind connect accept getname poll ioctl listen shutdown setsockopt getsockopt sendmsg recvmsg',
    },
  };

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '');

/** Names that the kernel map must have as they are. */
export const PLAIN_NAMES: readonly string[] = [
  ...Object.values(FUNCTIONS),
  ...Object.values(STRUCTURES),
].flatMap(words);

/** Splits a row of names. */
export function namesOf(text: string): string[] {
  return words(text);
}
