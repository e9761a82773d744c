# SPDX-License-Identifier: Apache-2.0
"""Documents as api/openapi.yaml describes them."""

GIB = 1 << 30

STATUS = {
    'version': '0.1.0', 'state': 'degraded', 'host': 'h1', 'pid': 12,
    'cached': {'state': 'running', 'reason': None, 'pid': 13, 'restarts': 2},
    'pools': 1, 'policies': 3, 'disks': {'open': 2, 'closed': 1},
    'issues': [{'object': 'disk d2', 'message': 'its process died 5 times'}],
}

POOL = {
    'name': 'ssd', 'state': 'ready', 'reason': None,
    'paths': [
        {'path': '/mnt/a', 'size_bytes': 100 * GIB, 'free_bytes': 3 * GIB,
         'granted_bytes': 7 * GIB, 'isolation': 'soft', 'reason': None,
         'disks': ['d1', 'd2'],
         'shares': [
             {'disk': 'd1', 'state': 'open', 'reserved_bytes': GIB,
              'granted_bytes': 6 * GIB, 'allocated_bytes': 6 * GIB,
              'used_bytes': 5 * GIB, 'limit_bytes': 8 * GIB},
             {'disk': 'd2', 'state': 'closed', 'reserved_bytes': 0,
              'granted_bytes': GIB, 'allocated_bytes': GIB,
              'used_bytes': GIB, 'limit_bytes': None}]},
        {'path': '/mnt/b', 'size_bytes': None, 'free_bytes': None,
         'granted_bytes': None, 'isolation': 'soft',
         'reason': 'it is missing', 'disks': ['d3'],
         'shares': []},
    ],
}

POLICY = {
    'name': 'gold', 'version': 1, 'disks': ['d1', 'd2'],
    'filters': [
        {'filter': 'throttle', 'properties': {'iops': 20000}},
        {'filter': 'cache', 'properties': {'mode': 'write-back'}},
    ],
}

FILTERS = [
    {'name': 'cache', 'library': '/x/cache.so', 'issue': None,
     'version': '0.1.0', 'description': 'write-back SSD cache',
     'class': 'cache', 'abi_version': 1, 'operations': ['read'],
     'properties': [],
     'metrics': [{'name': 'hits', 'kind': 'counter', 'unit': '',
                  'help': 'Hits.'}],
     'actions': [{'name': 'mark', 'description': 'Marks.', 'arguments': [
         {'name': 'count', 'type': 'integer'},
         {'name': 'text', 'type': 'string'},
         {'name': 'force', 'type': 'boolean'},
         {'name': 'size', 'type': 'size'}]}]},
    {'name': 'bad', 'library': '/x/bad.so', 'issue': 'needs ABI 9',
     'issue_code': 'wrong-abi'},
]

BUNDLE = {
    'name': 'audit', 'library': '/x/audit.so', 'issue': None,
    'version': '1.0.0', 'description': 'looks', 'class': 'inspection',
    'abi_version': 1, 'operations': ['read'], 'properties': [],
    'bundle': {'signer': 'me', 'key_id': '0123456789abcdef', 'needs': {
        'files': [], 'devices': [], 'sockets': ['/run/x'], 'keys': [],
        'memory_bytes': 4096}}}

KEY = {'name': 'me', 'key_id': '0123456789abcdef',
       'key': 'forebay-public-key-1 ed25519 AAAA\n'}

DISK = {
    'id': '6b1d1a34-6f0c-4c36-9a3e-0a4d0f5b7a11', 'name': 'd1',
    'size_bytes': GIB, 'backend': 'file:/srv/d1.raw',
    'policy': {'name': 'gold', 'version': 1}, 'desired': 'open',
    'state': 'open', 'reason': None, 'pid': 77, 'restarts': 1,
    'exports': {
        'vhost-user-blk': {'socket': '/r/run/disks/6b/vhost-user-blk.sock'},
        'nbd': {'socket': '/r/run/disks/6b/nbd.sock', 'name': 'd1',
                'uri': 'nbd+unix:///d1?socket=/r/run/disks/6b/nbd.sock'},
    },
    'mode': {'requested': 'write-back', 'actual': 'write-back',
             'reason': None},
    'dirty_bytes': 5 << 20, 'dirty_age_ns': 3 * 10 ** 9,
    'read_only': False, 'device_revision': 2, 'queues': 16,
    'sandbox': ['own-user', 'no-capabilities', 'ring-limits'],
    'sidecar': '/srv/d1.img.forebay',
    'sidecars': [{'filter': 'checksum', 'name': 'sums', 'version': '1.0.0',
                  'bytes': 8 << 20, 'state': 'same'}],
    'hold': None,
    'lost': {'bytes': 0, 'more': False, 'ranges': []},
    'advice': 'this disk has 1GiB and hits 61 %; more would gain next to '
              'nothing',
}

HELD = {**DISK, 'hold': {'state': 'held', 'left_bytes': 0, 'held_for_s': 3,
                         'ends_in_s': 597, 'ended_ago_s': 0, 'reason': None}}

CLOSED = {**DISK, 'desired': 'closed', 'state': 'closed', 'pid': None,
          'mode': {'requested': None, 'actual': None, 'reason': None},
          'policy': None, 'dirty_bytes': 0, 'dirty_age_ns': None, 'name': 'd2', 'sandbox': None,
          'sidecars': [], 'advice': None}

STATS = {
    'requests': {
        'read': {'count': 1000, 'bytes': 4096000, 'errors': 0,
                 'latency_us': {'p50': 85.5, 'p99': 240, 'p999': 1250.0,
                                'mean': 92.1, 'max': 2501.0}},
        'flush': {'count': 0, 'bytes': 0, 'errors': 0,
                  'latency_us': {'p50': 0, 'p99': 0, 'p999': 0, 'mean': 0,
                                 'max': 0}},
    },
    'copied_bytes': 0, 'in_flight': 3,
    'filters': [
        {'name': 'throttle', 'status': {'delayed': 12, 'wait_ns': 1500000}},
        {'name': 'cache', 'status': {
            'mode': {'requested': 'write-back', 'actual': 'write-through',
                     'reason': 'the pool is full'},
            'hit_ratio': 0.875, 'dirty_bytes': 5 << 20, 'read_miss_bytes': 0,
            'log': {'epoch': 3, 'ssd_flushes': 2, 'bad_blocks': 0},
            'delay_us': {'p50': 3.5}}},
    ],
    'exports': {
        'vhost_user_blk': {'connected': True, 'queues': 2, 'replayed': 0},
        'nbd': {'socket': '/r/run/disks/6b/nbd.sock', 'connections': 0},
    },
}

FILTER_STATUS = [
    {'name': 'xor', 'version': '1.0.0', 'class': 'encryption',
     'properties': {}, 'status': {},
     'metrics': [
         {'name': 'turned', 'kind': 'counter', 'unit': 'bytes', 'help': 'x',
          'value': 8192},
         {'name': 'read_time', 'kind': 'histogram', 'unit': 'seconds',
          'help': 'x', 'count': 3, 'sum': 0.0025, 'buckets': [[1, 3]]}],
     'held': {'requests': 1, 'oldest_ns': 5, 'overdue': 0},
     'blocked': {'count': 2, 'longest_ns': 12000000}},
]

ADVICE = {
    'name': 'd1', 'enough': True, 'read_blocks': 300000,
    'needed_blocks': 262144, 'size_bytes': GIB, 'hit_ratio': 0.61,
    'summary': 'with 2GiB this disk would hit 83 %; it has 1GiB and hits 61 %',
    'points': [
        {'size_bytes': GIB // 2, 'hit_ratio': 0.25, 'doubling_gain': 0.36,
         'present': False},
        {'size_bytes': GIB, 'hit_ratio': 0.61, 'doubling_gain': 0.22,
         'present': True},
        {'size_bytes': 2 * GIB, 'hit_ratio': 0.83, 'doubling_gain': None,
         'present': False},
    ],
}

XML = b"""<disk type='vhostuser' device='disk'>
  <target dev='vda' bus='virtio'/>
</disk>
"""

DELETED = {
    'id': DISK['id'], 'name': 'd1', 'backend': 'file:/srv/d1.raw',
    'backend_deleted': False, 'discarded_dirty_bytes': 0,
}

HISTORY = {'disk': 'd1', 'items': [
    {'time_ms': 1764322811000, 'source': 'operator', 'kind': 'open',
     'outcome': 'done'},
    {'time_ms': 1764322812000, 'source': 'disk', 'kind': 'grow',
     'outcome': 'refused', 'size_bytes': 2 << 30,
     'reason': 'filter f refuses grow of disk d1: it is full',
     'filters': [{'filter': 'f', 'phase': 'pre', 'outcome': 'refused',
                  'reason': 'it is full', 'ms': 3}]},
    {'time_ms': 1764322813000, 'source': 'disk', 'kind': 'vm',
     'outcome': 'done', 'vm': 'running', 'missed': 2,
     'filters': [{'filter': 'f', 'phase': 'post', 'outcome': 'late',
                  'reason': 'its time is over', 'ms': 1000}]}]}
