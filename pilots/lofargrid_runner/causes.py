"""Why something failed, told from the words that tools and batch systems leave.

Data first: the tables below, in the order in which they are asked. `WHOLE` counts wherever it stands in the
text. `LINES` is asked line by line from the last one upwards: the first line that any rule knows decides, since
what a tool says last is mostly why it ended, and what it warned of before is not. `FAINT` is asked where no line
tells more. `ENDINGS` and `SIGNALS` are for those that say nothing. What nobody knows falls back, by stage, to a
reason that is tried again the fewest times.

In doubt a rule names a cause that stays: to run what must fail again costs more than to ask a human.
Imported after a failure only: it costs a job that goes well nothing.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from .contract import Reason

BATCH = "batch"
"""The stage of what a batch system says; the others are those of `contract.Stage`."""

LAST_LINES = 300
LONGEST_LINE = 4000


class Rule(NamedTuple):
    """A pattern (case does not count) and the cause it shows, in some stages; without any, in all but batch."""

    reason: Reason
    pattern: str
    stages: str = "probe stage-in setup payload checks stage-out"


R = Reason
_MOVE = "stage-in stage-out"
_IN = "stage-in"
_OUT = "stage-out"
_READY = "probe setup"
_RUN = "payload checks"
_WORK = "probe setup payload checks"

# How a status of HTTP stands in a line, whoever wrote it.
_HTTP = r"(?:returned error: |HTTP(?:/[\d.]+|[ _]Error| status| code|:)*[ :=]+|status(?: code)?[ :=]+|error code:? )"

WHOLE: tuple[Rule, ...] = (
    Rule(
        R.OUT_OF_MEMORY,
        r"out of memory: kill|oom[-_ ]?kill|killed by the cgroup out-of-memory|oom_reaper|killed as a result of limit"
        r"|exceeded (?:job )?memory limit|PBS: job killed: p?v?mem",
    ),
    Rule(R.OUT_OF_TIME, r"due to time limit|PBS: job killed: (?:walltime|cput)"),
    Rule(R.SCRATCH_FULL, r"[ \t]100%[ \t]+/(?:scratch|tmp|var|work|data|local|pool|home)\b"),  # `df` in the log
    # The storage's answer to an empty hand says nothing of the hand.
    Rule(R.NODE_UNFIT, r"CA directory non existing|CRL[^\n]*(?:has )?expired|(?:expired|outdated) CRL", _MOVE),
    Rule(R.NODE_UNFIT, r"(?:no|valid|trusted) CA certificates? dir|(?<!alert )unknown CA\b|issuer certificate", _MOVE),
    # curl gives 23 for every reason why it could not write.
    Rule(R.NODE_UNFIT, r"failed to open the file [^\n]*(?:read-only|permission)", _MOVE),
    Rule(R.RUNNER_ERROR, r"failed to open the file [^\n]*no such file", _MOVE),
    # A clean-up that finds nothing hides the refusal before it.
    Rule(R.CREDENTIAL_REFUSED, rf"{_HTTP}403\b|permission refused|\[3010\]", _OUT),
    Rule(R.CREDENTIAL_REFUSED, r"gfal-copy error: 2 [^\n]*(?:404|unlink|delet|remov)", _OUT),
    Rule(R.INPUT_TRUNCATED, r"ReadError\('empty (?:header|file)'\)"),
    Rule(R.INPUT_WRONG_KIND, r"ReadError: file could not be opened successfully"),
    Rule(R.CREDENTIAL_EXPIRED, r"(?:impossible|unable|could not|cannot|failed) to (?:open|load|read)[^\n]*x509", _MOVE),
    Rule(R.CREDENTIAL_EXPIRED, r"x509up\S*[^\n]*(?:no such file|not found|does not exist)", _MOVE),
    Rule(R.NODE_UNFIT, r"not enough space to load", _READY),
    # A refusal may be the tape's: dCache answers 403 to what it may not recall.
    Rule(
        R.INPUT_NEARLINE,
        r"not (?:yet )?(?:on disk|online)|is not online|not brought online|SRM_FILE_UNAVAILABLE|staging not allowed"
        r"|copy-fail-nearline|locality[^\n]*\bnearline|on tape(?: only)?\b|tape recall",
        _IN,
    ),
    # tar is only sure of what it saw when it goes on to look for more.
    Rule(R.INPUT_WRONG_KIND, r"does not look like a tar archive\s+\S*tar: Skipping to next header"),
    Rule(R.INPUT_CORRUPT, r"tar: Skipping to next header|tar: .*(?:checksum|malformed|out of range)"),
    # Python's own words for a program that is not there are those for a file that is not there.
    Rule(R.OUT_OF_MEMORY, r"raise child_exception_type[^\n]*\s+\w*Error: \[Errno (?:11|12)\]"),
    Rule(
        R.SOFTWARE_MISSING,
        r"raise child_exception_type[^\n]*\s+(?:(?:FileNotFound|Permission)Error|OSError: \[Errno 8\])",
    ),
)

_MEMORY = (
    r"bad_alloc|bad_array_new_length|cannot allocate (?:memory|workspace|[\d.]+ )|MemoryError|memory exhausted"
    r"|unable to allocate|memory allocation (?:still )?failed|\bout of memory"
    r"|not enough memory(?! available to increase)|insufficient memory|failed to allocate (?:memory|\d)"
    r"|malloc(?:\(\))? fail|failed to map segment|can't start new thread|\bENOMEM\b|thread creation failed"
    r"|pthread_create (?:failed|error)|could not allocate memory|allocation of .* failed"
    r"|(?:what\(\):|system_error|thread).*resource temporarily unavailable|insufficient virtual memory"
)
_FULL = (
    r"no space left on device|disk quota exceeded|file too large|file size limit exceeded|not enough (?:disk )?space"
    r"|disk (?:is )?full|insufficient disk|write error.*\b(?:ENOSPC|EDQUOT)\b|\bENOSPC\b|file system (?:is )?full"
)
_AWAY = (
    r"connection (?:refused|reset|timed out|closed|aborted|error|lost|was closed|timeout)|could(?:n't| not) connect"
    r"|(?:operation|request|socket|read|transfer|query|gateway|stream|handshake) (?:has )?(?:timed? ?out|timeout"
    r"|expired)|timed out|no route to host|(?:network|host) is (?:unreachable|down)|unreachable"
    r"|socket (?:error|disconnect)"
    r"|(?:could not|couldn't|cannot|can't|unable to|failure to|failed to|failure in) (?:resolve|connect|reach|contact"
    r"|name res)|name or service not known|temporary failure in name|no such host|name resolution|nodename nor servname"
    r"|invalid address|redirect limit|stream disconnect|hand ?shake failed|end-of-file was reached|broken pipe"
    r"|network is down|empty reply|remote end closed|closed connection|unexpected EOF while reading|unexpectedly closed"
    r"|communication error|remote i/o|service (?:is )?(?:temporarily )?unavailable|server (?:is )?(?:overloaded|busy)"
    r"|service busy|bad gateway|internal (?:server )?(?:error|timeout)|too many (?:requests|connections)|i/o timeout"
    r"|connection limit|IncompleteRead|transfer closed with|no (?:read|write) pools|no more replicas|TLS error"
    r"|threshold exceeded|pool(?: \S+)? (?:is )?(?:unavailable|disabled|offline|down)|PinManager|ETIMEDOUT|ECONN\w+"
    r"|marker timeout|could not open connection|TimeoutError|received corrupted data"
    r"|could not read (?:status|response|chunk)|deadline exceeded|: EOF$|connection abort|infinite loop|BadStatusLine"
    r"|HTTP/0\.9|invalid (?:redirect|response|session)|protocol error|resource busy|operation cancel+ed|timer expired"
    r"|no route"
)
_EXPIRED = (
    r"(?:proxy|credential|certificate|token|macaroon|x509)[^:]{0,60}(?:has |have |is |are |was )?expired"
    r"|expired (?:proxy|credential|certificate|token|macaroon|\d+ \w+ ago)|proxy credential:.*expired"
    r"|certificate expired|ExpiredSignature|invalid_token"
    r"|no (?:valid )?(?:proxy|credentials?|user certificate|bearer token)\b"
    r"|(?:find|load|read|open|locate)\w*(?: a| the| any| valid| user| client)* (?:proxy|credential|x509|PEM client"
    r"|user certificate)|client certificate|proxy (?:file|certificate|not)"
    r"|auth(?:entication)?\.? (?:failed|error|failure)|no protocols left|login failed|invalid exchange"
    r"|SRM_AUTHENTICATION_FAILURE|not authenticated|bad certificate|alert (?:unknown|certificate|access|handshake|bad)"
    r"|unable to authenticate|unauthenticated"
)
_REFUSED = (
    r"permission (?:denied|refused)|operation not permitted|access (?:is )?denied|not authori[sz]ed|forbidden"
    r"|unauthori[sz]ed|SRM_AUTHORIZATION_FAILURE|gridmap|530 login|login incorrect|not allowed"
    r"|insufficient (?:rights|priv)|not enough permissions|enough permissions|could not map"
)
_GONE = (
    r"no such file|\tMISSING\b|not found|does not exist|doesn't exist|no such (?:object|path|entry)"
    r"|SRM_INVALID_PATH|SRM_FILE_LOST"
)
_CUT = (
    r"exceeds nr of buckets|truncat|unexpected end|unexpected EOF|premature(?:ly)? end"
    r"|end of (?:file|data|archive|stream)|incorrect number of bytes|buffer is too small|EOFError|unterminated string"
    r"|no data left in file|short read|(?:read|bytes) past (?:the )?end|beyond (?:the )?end"
    r"|incomplete (?:file|read|data|or trunc)|ended prematurely|could not read all|missing END card|empty or corrupt"
    r"|could only read|empty (?:file|header)|ran out of input|lone zero block|not enough data|compressed file ended"
)
_OTHER_KIND = (
    r"file signature not found|not an? (?:\w+ )?HDF5|no SIMPLE card|could not interpret primary array"
    r"|not in gzip format"
    r"|not (?:an? |the )?(?:valid |proper |true |casa(?:core)? |compressed )*(?:table|FITS|tar|zip|gzip\w*|HDF5"
    r"|measurement ?set|MS|archive|directory|regular file|h5parm|folder|image)\b|is a directory|omitting directory"
    r"|IsADirectory|NotADirectory|\(char 0\)|invalid load key|could not be opened successfully|file format not recogni"
    r"|not in MSv2|not a bzip2|table file \S+/table\.dat does not|pickled \(object\) data|unknown file (?:type|format)"
    r"|unrecogni[sz]ed (?:file|archive) format|not a true table|as a pickle|is the wrong type|wrong table type"
    r"|image format not recogni"
)
_BROKEN = (
    r"no magic value|bad magic|checksum (?:error|mismatch|differ|fail)"
    r"|crc[- ]?(?:32|error|check)?\b.*(?:fail|error|bad|mismatch)|bad crc|corrupt|data integrity"
    r"|invalid compressed data|incorrect (?:header|data) check|error -3 while decompress"
    r"|invalid (?:block type|stored block|distance|code lengths)|codec can't decode|UnicodeDecodeError|JSONDecodeError"
    r"|BadZipFile|BadGzipFile|UnpicklingError|damaged|malformed|bad symbol table"
    r"|table\.f\d\S*.*(?:could not|cannot|no such|not exist|error)|AipsIO|wrong (?:version|object) .*(?:AipsIO|table)"
    r"|do not match|bad object header|wrong B-tree|DataManError|TSMError"
)
_NOT_MADE = (
    r"(?:was |been )?(?:not |n't )(?:been )?(?:compiled|built|configured) (?:with|to have)|(?:compiled|built) without"
    r"|please recompile|recompile (?:\w+ )?with|no module named|ModuleNotFound|cannot open shared object"
    r"|undefined symbol|symbol lookup error|command not found|executable file not found|error while loading shared"
    r"|failed to exec|bad interpreter|required file not found|gridder is not available"
    r"|plugin .*not (?:found|available|loaded)|class \w*Dysco\w*|dyscostman"
    r"|data manager .*(?:unknown|not registered|not exist)|requires? .*to be installed"
    r"|cannot read (?:table of|IERS|leap)|measures? (?:data|table)\b.*(?:not|miss)|not installed|no version of package"
    r"|protocol (?:\S+ )?(?:is )?not supported|unsupported protocol|protocol .*disabled|can't open perl|no such plugin"
    r"|unable to load plugin|unable to locate a modulefile|module\(s\) are unknown|could not find conda"
    r"|could not load library|DistributionNotFound|PackageNotFound"
)
_OWN_FILES = (
    r"(?:/usr/(?:local/)?(?:share|lib)|/opt|/cvmfs|site-packages|everybeam|casacore/data|/data/geodetic|/data/ephem)\S*"
)
_UNFIT = (
    r"illegal instruction|invalid opcode|\bSIGILL\b|kernel too old"
    r"|(?:CPU|machine|processor) (?:does not|doesn't) support|baseline optimi"
    r"|(?:unsupported|requires?)\b.{0,30}\b(?:AVX|SSE|instruction)|GLIBC\w*_[\d.]+'? not found|exec format error"
    r"|cannot execute binary|read-only file ?system|no usable temporary|structure needs cleaning|no locks available"
    r"|not yet valid|too many open files in system|stale (?:NFS )?file handle|wrong architecture|hardware error"
    r"|machine check|buffer i/o error|EXT4-fs error|XFS .*(?:corrupt|error)|a lock for an NFS file|bad superblock"
    r"|fork: (?:retry: )?resource temporarily|transport endpoint|input/output error|medium error|text file busy"
    r"|processor support|executable stack|additional memory protection|I/O error, dev|not responding|blocked for more"
)
_NAMESPACE = (
    r"user namespace|capability set|/dev/fuse|fuse: device not|setgroups|newuidmap|uid_map|subuid|loop devices?\b"
    r"|architecture.*could not run|parse configuration file|squashfuse.*not (?:found|permitted)"
    r"|mount .*(?:operation not permitted|permission denied)|no setuid|set-?uid.*not|seccomp|fakeroot"
    r"|operation not permitted|cgroups? .*(?:not|fail)|overlay.*not supported|fusermount"
)
# A wrong word in a parset or a command is nobody's fault but the pipeline's.
_WRONG_WORD = (
    r"(?:column|soltab|sol(?:ution )?set|key(?:word)?s?|antenna|station|patch|source|step|direction|field|option"
    r"|operation|parameter|variable|attribute|dataset|group|group ``/``)\b[^:]{0,80}(?:does(?:n't| not) (?:exist|have)"
    r"|missing|unknown|not found|undefined|not used|not available|invalid)"
    r"|unknown (?:\w+ )?(?:key|step|mode|option|type|argument|parameter|command|operation|variable|station|patch"
    r"|source)|\b(?:dppp|dp3)_\w+|CASACORE_LDPATH|unused parset|cannot import name|unbound variable|syntax error"
    r"|SyntaxError|NoSuchNode|invalid choice|unrecogni[sz]ed (?:argument|option|parameter)|required argument|usage:"
    r"|^(?!.*\bfile\b).*\bnot found in \S|could(?: not|n't) find (?:patch|source|station|antenna)|cannot find sol"
    r"|object '\S+' doesn't exist|object not found|not found in (?:the )?(?:parmdb|h5parm|sol\w*|skymodel|source ?db)"
)

LINES: tuple[Rule, ...] = (
    # Who writes a step that is not there gets to hear of a library.
    Rule(R.PAYLOAD_FAILED, r"\blib(?:dppp|dp3)_\w+|\b(?:dppp|dp3)_\w+ not found", _RUN),
    # Memory and space first: they explain everything that comes of them.
    Rule(R.OUT_OF_MEMORY, _MEMORY),
    Rule(R.OUT_OF_TIME, r"cpu time limit exceeded|SIGXCPU|subprocess\.TimeoutExpired"),
    Rule(
        R.SCRATCH_FULL, r"tar: .*(?:no space left|disk quota)|/(?:scratch|tmp)/\S*.*(?:no space left|disk quota)", _OUT
    ),
    Rule(
        R.STORAGE_FULL,
        rf"{_FULL}|\[(?:3009|3021)\]|SRM_(?:NO_FREE|NO_USER)_SPACE|SRM_EXCEED|SRM_SPACE_LIFETIME|quota",
        _OUT,
    ),
    Rule(R.STORAGE_FULL, rf"no space available|pools? (?:are |is )?full|{_HTTP}507\b|insufficient storage", _MOVE),
    Rule(R.SCRATCH_FULL, rf"{_FULL}|curl: \((?:23|70)\)"),
    # wsclean and cfitsio forget the errno; only what was open before can be full.
    Rule(
        R.PAYLOAD_FAILED, r"error (?:writing to temporary file|opening temporary)|too many open files|broken pipe", _RUN
    ),
    Rule(
        R.PAYLOAD_FAILED,
        r"\bdisplay\b|argument list too long|unable to lock file|in use (?:in|by) another|cannot be created",
        _RUN,
    ),
    Rule(
        R.SCRATCH_FULL,
        r"error writing (?:to (?:temporary|FITS file)|data buffer|elements)|cannot write:|write error in",
        _RUN,
    ),
    # HDF5 says that it could not write, and keeps the errno to itself; numpy how far it came.
    Rule(R.SCRATCH_FULL, r"H5(?:D\w*|F)(?:write|close|flush) failed|problems (?:creating|appending|writing)", _RUN),
    Rule(R.SCRATCH_FULL, r"\d+ requested and \d+ written|file write failed", _RUN),
    # The software's file system before all other files.
    Rule(
        R.SOFTWARE_UNREACHABLE,
        r"/cvmfs\S*.*(?:transport endpoint|input/output|stale|no such device|timed out|host is down|too many levels"
        r"|connection|not mounted|failed!|mount source|remote i/o|resource temporarily|failed to mount)"
        r"|/cvmfs\S*: (?:file too short|invalid ELF|cannot read file data)"
        r"|(?:transport endpoint|input/output|stale).*/cvmfs|prob\w+ /cvmfs\S* *(?:fail|not ok)",
    ),
    Rule(R.SOFTWARE_UNREACHABLE, r"/cvmfs(?:/[\w.-]+\.[a-z]+)?/?['’\"`]?:? .*(?:no such file|not found|not exist)"),
    Rule(R.SOFTWARE_UNREACHABLE, r"mount source \S*/cvmfs"),
    Rule(R.SOFTWARE_MISSING, r"no such tag|history init failure|no such (?:revision|hash)"),
    Rule(
        R.NODE_UNFIT,
        r"cache directory|quota init|workspace already locked|failed to create cache|FUSE event|cache manager"
        r"|\(3 - permission|watchdog failure",
        _READY,
    ),
    Rule(
        R.SOFTWARE_UNREACHABLE,
        r"(?:file )?catalog failure|root (?:file )?catalog|signature verification|proxy auto-disc|repository manifest"
        r"|manifest.*(?:download|fetch)|maintenance mode|\(catalog\)|all (?:hosts|proxies) (?:fail|unreach)|stratum"
        r"|geo-?api|whitelist|failed to mount|blacklisted",
        _READY,
    ),
    Rule(R.NODE_UNFIT, r"mount source|GLIBC\w*_[\d.]+'? not found|cannot execute binary|exec format error"),
    # A registry of images.
    Rule(
        R.SOFTWARE_MISSING, r"(?:manifest|name|repository) (?:is )?unknown|denied: |unauthorized: |status 404", _READY
    ),
    Rule(R.SOFTWARE_UNREACHABLE, rf"{_AWAY}|toomanyrequests|{_HTTP}(?:429|5\d\d)\b", _READY),
    Rule(R.NODE_UNFIT, _NAMESPACE, _READY),
    Rule(R.RUNNER_ERROR, r"unknown (?:short)?hand flag|unknown flag|--help' for more|for more detailed usage", "setup"),
    Rule(R.SOFTWARE_MISSING, r"^FATAL: +(?:permission denied|stat |exec)|squashfs image|could not open image"),
    Rule(R.SOFTWARE_MISSING, r"(?:image|container).*(?:not recogni|truncated|corrupt|invalid|no such file)", "setup"),
    # Storage: what its doors say, then what the tools make of it.
    Rule(R.INPUT_MISSING, r"SRM_INVALID_PATH|SRM_FILE_LOST|locality reported as (?:LOST|NONE)|\[3011\]", _IN),
    Rule(R.INPUT_WRONG_KIND, rf"{_OTHER_KIND}|\[301[56]\]", _IN),
    Rule(R.NODE_UNFIT, r"not yet valid|local issuer|self[- ]signed|curl: \((?:60|77|82|83)\) (?!.*has expired)", _MOVE),
    Rule(
        R.NODE_UNFIT,
        r"unable to get (?:local )?issuer|certificate verify failed: (?!.*has expired)|CA (?:path|cert)",
        _MOVE,
    ),
    # GridFTP's servers say what they make of our certificate in the words in which clients speak of theirs.
    Rule(R.CREDENTIAL_EXPIRED, r"the server responded with an error 530[\s\S]*has expired", _MOVE),
    Rule(
        R.STORAGE_UNAVAILABLE, r"(?:verify failed|certificate problem).*(?:expired|match)|subject name matches", _MOVE
    ),
    Rule(R.STORAGE_UNAVAILABLE, r"\[(?:3003|3005|3007|3008|3012|3014|3017|3020|3024|3025|3029|303[345])\]", _MOVE),
    # TLS 1.3 tells of a refused certificate by a reset at the first words.
    Rule(
        R.CREDENTIAL_EXPIRED, r"could not send request: connection reset|SSL_write: connection reset|curl: \(55\)", _IN
    ),
    # What was asked for is wrong, not the one who was asked.
    Rule(R.INPUT_UNREADABLE, rf"{_HTTP}(?:40[0567]|41[14567]|501|505)\b", _IN),
    Rule(R.STAGE_OUT_FAILED, rf"{_HTTP}(?:40[0567]|41[134567]|501|505)\b", _OUT),
    Rule(R.CREDENTIAL_EXPIRED, rf"{_HTTP}401\b|curl: \((?:58|67|94)\)|\[3030\]", _MOVE),
    Rule(R.CREDENTIAL_EXPIRED, _EXPIRED, _MOVE),
    Rule(R.STORAGE_UNAVAILABLE, rf"{_HTTP}(?:408|423|425|429|5\d\d)\b|\b5\d\d Server Error", _MOVE),
    Rule(R.CREDENTIAL_REFUSED, rf"{_HTTP}403\b|\b403 Client Error|\[3010\]|curl: \(9\)", _MOVE),
    Rule(R.INPUT_MISSING, rf"{_HTTP}(?:404|410)\b|\b4(?:04|10) Client Error|curl: \((?:37|78)\)", _IN),
    Rule(
        R.STAGE_OUT_FAILED, rf"{_HTTP}4(?:04|05|09|12)\b|SRM_DUPLICATION|\[3018\]|curl: \(73\)|file exists|\(50\)", _OUT
    ),
    Rule(
        R.OUTPUT_MISSING,
        r"cannot stat|empty archive|no such file or directory processing|link_stat|curl: \(26\)"
        r"|(?:stat|open) (?:the )?source",
        _OUT,
    ),
    Rule(R.OUTPUT_MISSING, r"no such file.*\(source\)|FileNotFound", _OUT),
    Rule(
        R.STAGE_OUT_FAILED,
        r"check ?sum|do not match|sizes? differ|cannot create(?!.*permission)|file exists|SRM_INVALID_PATH",
        _OUT,
    ),
    Rule(
        R.STORAGE_UNAVAILABLE,
        r"SRM_(?:INTERNAL|FILE_BUSY|REQUEST|ABORTED|FATAL)\w*|locality reported as UNAVAIL",
        _MOVE,
    ),
    Rule(
        R.STORAGE_UNAVAILABLE,
        r"^(?=.*(?:gfal|GError|Run: |curl: |globus|urllib|requests|http)).*(?:connection truncated|EOF"
        r"|end[- ]of[- ]file|incomplete (?:read|data|body)|premature|closed)",
        _MOVE,
    ),
    Rule(R.INPUT_CORRUPT, r"check ?sum\w*\b.*(?:mismatch|error|differ|not match)|do not match", _IN),
    Rule(R.STORAGE_UNAVAILABLE, r"curl: \((?:5|6|7|16|18|28|35|47|52|55|56|9[025])\)", _MOVE),
    Rule(R.SOFTWARE_MISSING, rf"{_NOT_MADE}|curl: \((?:1\) Protocol|4\))|: not found$", _MOVE),
    Rule(R.RUNNER_ERROR, r"^usage:|error: (?:the following|unrecognized|argument)|could not open destination", _IN),
    Rule(
        R.RUNNER_ERROR,
        r"file exists|overwrite is not|(?:unrecognized|unknown|invalid) option|option .* is unknown"
        r"|local error: no such file.*\(destination\)",
        _IN,
    ),
    Rule(R.RUNNER_ERROR, r"^tar: (?!\S*\.(?:tar|tgz|t?[gx]z)\b).*cannot open: no such", _IN),
    Rule(R.INPUT_UNSAFE, r"outside (?:the|its) destination|(?:Absolute|Outside)\w*Error|member name contains '\.\.'"),
    Rule(R.INPUT_UNSAFE, r"SpecialFileError|LinkOutside|absolute path"),
    Rule(R.INPUT_TRUNCATED, rf"{_CUT}|does not look like a tar", _IN),
    Rule(
        R.NODE_UNFIT,
        r"read-only|(?:error )?writ\w+ .*input/output|cannot mkdir|local error: permission.*\(destination\)"
        r"|tar: .*(?:read error|input/output)",
        _IN,
    ),
    Rule(R.NODE_UNFIT, r"tar: .*(?:read-only|input/output)|/(?:scratch|tmp)/.*(?:read-only|input/output)", _OUT),
    Rule(
        R.STORAGE_UNAVAILABLE,
        rf"{_AWAY}|input/output error|stale (?:NFS )?file|transport endpoint|resource temp",
        _MOVE,
    ),
    Rule(R.INPUT_CORRUPT, _BROKEN, _IN),
    Rule(R.INPUT_MISSING, rf"{_GONE}|\b550\b(?!.*denied)", _IN),
    Rule(R.NODE_UNFIT, r"cannot create .*permission denied|mkdir: .*permission denied", _IN),
    Rule(R.INPUT_UNREADABLE, r"^(?:cp|tar|cat|dd|mv|rsync|PermissionError)\b.*permission denied", _IN),
    Rule(R.CREDENTIAL_REFUSED, _REFUSED, _MOVE),
    Rule(R.STORAGE_UNAVAILABLE, r"read-only file ?system|SRM_FAILURE|\b(?:421|425|426|451)\b ", _MOVE),
    # Set-up and probe: the node and its software.
    Rule(R.SOFTWARE_MISSING, _NOT_MADE, _WORK),
    Rule(R.NODE_UNFIT, rf"^(?:FATAL|ERROR) *: .*(?:{_NAMESPACE})", _RUN),
    Rule(R.NODE_UNFIT, r"mkdir|cannot create (?:dir|temp)|mktemp|chdir|working directory", _READY),
    Rule(R.NODE_UNFIT, _UNFIT, _WORK),
    Rule(R.NODE_UNFIT, r"permission denied", "probe"),
    Rule(R.SOFTWARE_MISSING, rf"{_GONE}|no such file|permission denied|not executable|cannot open", _READY),
    # The payload.
    Rule(R.SOFTWARE_MISSING, rf"{_OWN_FILES}.*no such file|no such file.*{_OWN_FILES}", _RUN),
    Rule(R.SOFTWARE_MISSING, r"^\S*(?:sh|bash|env|time|nice|timeout)\b.*(?:not found|env: .*no such file)", _RUN),
    # What is moved was made by the payload itself.
    Rule(R.OUTPUT_MISSING, r"^mv: cannot stat", _RUN),
    Rule(R.PAYLOAD_FAILED, r"syntax ?error", _RUN),
    Rule(R.PAYLOAD_FAILED, r"^(?:Key|Index|Name|Attribute|ZeroDivision|Assertion)Error\b", _RUN),
    Rule(
        R.INPUT_UNREADABLE,
        r"permission denied|PermissionError|is not writable|cannot be opened for (?:read/)?writ",
        _RUN,
    ),
    Rule(R.INPUT_TRUNCATED, _CUT, _RUN),
    Rule(R.INPUT_CORRUPT, r"\.MS/(?-i:[A-Z_]+)/? does not exist|table\.f\d", _RUN),
    Rule(R.INPUT_WRONG_KIND, _OTHER_KIND, _RUN),
    Rule(R.PAYLOAD_FAILED, _WRONG_WORD, _RUN),
    Rule(R.INPUT_CORRUPT, _BROKEN, _RUN),
    Rule(R.INPUT_MISSING, rf"HTTP Error (?:404|410)\b|\b4(?:04|10) Client Error|\[3011\]|{_HTTP}(?:404|410)\b", _RUN),
    Rule(R.CREDENTIAL_EXPIRED, rf"HTTP Error 401\b|\b401 Client Error|{_HTTP}401\b", _RUN),
    Rule(R.CREDENTIAL_REFUSED, rf"HTTP Error 403\b|\b403 Client Error|{_HTTP}403\b", _RUN),
    Rule(R.STORAGE_UNAVAILABLE, rf"HTTP Error (?:429|5\d\d)\b|\b5\d\d Server Error|{_AWAY}", _RUN),
    Rule(
        R.INPUT_MISSING,
        rf"{_GONE}|some are missing|(?:do|does) not exist|no such MS|failed to find or open|unable to open file \S+$"
        r"|(?:could not|couldn't|cannot|can't) (?:be )?open|missing (?:\w+ )?file|error reading \S+$|can't be opened"
        r"|error opening"
        r"|no (?:input )?(?:measurement ?sets?|files?) (?:found|left)|not found or unreadable",
        _RUN,
    ),
    # An error that is known to be one and nothing else: what was said before it does not count.
    Rule(
        R.PAYLOAD_FAILED,
        r"^(?:[\w.]+\.)?(?!CalledProcess|HDF5Ext)\w*(?:Error|Exception)\b(?!.*(?:H5\w+ failed|HDF5|back trace|non-zero"
        r"|returned an error))|std exception detected: (?!.*H5)|^\+ >>> ",
        _RUN,
    ),
)

FAINT: tuple[Rule, ...] = (
    Rule(
        R.PAYLOAD_CRASHED,
        r"died with <Signals\.SIG(?:SEGV|ABRT|BUS|FPE)|\d (?:segmentation fault|aborted|bus err)",
        _RUN,
    ),
    Rule(R.PAYLOAD_KILLED, r"died with <Signals\.SIG(?:KILL|TERM|HUP|INT)|: +\d+ (?:killed|terminated)\b", _RUN),
    Rule(R.INPUT_MISSING, r"(?:unable|failed) to open", _RUN),
)

# What schedulers say when they refuse a job at once.
_AT_SUBMIT = (
    r"sbatch: |qsub: |condor_submit|failed to create job ad|submission failed|\bsubmit:|illegal job jdl|jdl\b"
    r"|not correctly specified|contains //|unable to contact slurm|batch job submission|bad request|edg_wll|glite-"
)
_TOO_LONG = (
    r"(?:wall|cpu|run|execution|elapsed|job)[ _-]?(?:clock)?[ _-]?(?:time|duration|limit)\b.{0,40}(?:exceed|limit"
    r"|reached|over|longer|more than)"
    r"|(?:exceed|reached|over|beyond|longer than|out of)\w*\b.{0,60}(?:wall|cpu|time|duration)|due to time limit"
    r"|\bTIMEOUT\b|\bDEADLINE\b|time limit|walltime|\bcput\b|ran (?:for )?too long|ran longer"
)
_TOO_BIG = (
    r"memory\b.{0,60}(?:exceed|limit|over|more than|above|larger|too)"
    r"|(?:exceed|over|more than|above|out of|limit)\w*\b.{0,60}memory|oom[-_ ]?kill|OUT_OF_ME|\bp?v?mem\b.{0,40}exceed"
    r"|MemoryUsage|ResidentSetSize|ImageSize|\bRSS\b.{0,40}exceed"
)
_TOO_WIDE = r"(?:disk|scratch)\b.{0,60}(?:exceed|limit|over|more than|full|insufficient)|DiskUsage"
_TOO_WIDE += r"|(?:exceed|over|insufficient|more than)\w*\b.{0,40}(?:disk|scratch)|no space left|disk quota"
_INPUT = r"(?:transfer input|failed to (?:receive|send) (?:input )?file\(s\) (?:from|to)).*"

BATCH_LINES: tuple[Rule, ...] = (
    Rule(R.CREDENTIAL_EXPIRED, rf"{_EXPIRED}|corrupted credential|proxy|oauth|credmon"),
    # HTCondor's copies: where they failed tells whose disk it was.
    Rule(R.SOFTWARE_MISSING, r"plugin .*not found"),
    Rule(R.CREDENTIAL_EXPIRED, rf"transfer (?:in|out)put.*{_HTTP}401\b"),
    Rule(R.OUTPUT_MISSING, r"transfer output.*failure at execution point.*(?:errno 2\b|no such file)"),
    Rule(R.OUTPUT_MISSING, r"STARTER at \S+ failed to send file.*(?:errno 2\b|no such file)"),
    Rule(
        R.STORAGE_FULL,
        r"(?:transfer output.*at access point|SHADOW at \S+ failed to write).*(?:errno (?:28|122)\b|no space|quota)",
    ),
    Rule(R.STORAGE_UNAVAILABLE, rf"transfer output.*(?:{_AWAY}|{_HTTP}5\d\d)"),
    Rule(R.CREDENTIAL_REFUSED, rf"transfer (?:in|out)put.*(?:{_HTTP}403\b|not authori)"),
    Rule(R.SCRATCH_FULL, r"(?:transfer output.*at execution point).*(?:errno (?:28|122)\b|no space|quota)"),
    Rule(
        R.STAGE_OUT_FAILED,
        r"transfer output|SHADOW at \S+ failed to (?:write|receive)|post job file processing|unable to copy file"
        r"|failed sending req|uploading (?:output|job)",
    ),
    Rule(
        R.SCRATCH_FULL,
        rf"{_INPUT}(?:at execution point).*(?:no space|quota|errno 122)|STARTER at \S+ failed to write.*errno 28",
    ),
    Rule(R.NODE_UNFIT, rf"{_INPUT}(?:at execution point).*(?:read-only|input/output)"),
    Rule(
        R.STORAGE_UNAVAILABLE, rf"{_INPUT}(?:{_AWAY}|{_HTTP}(?:429|5\d\d)|input/output)|failed downloading inputsandbox"
    ),
    Rule(
        R.INPUT_MISSING,
        rf"{_INPUT}(?:errno 2\b|no such file|{_HTTP}(?:404|410)|not found)|input data (?:not avail|resol)",
    ),
    Rule(R.INPUT_UNREADABLE, rf"{_INPUT}(?:errno 13\b|permission denied)"),
    # Who took it away.
    Rule(
        R.LOST,
        r"disconnected too long|can ?not reconnect|reconnect\w* failed|no longer talk|shadow exception|NODE_FAIL",
    ),
    Rule(
        R.LOST,
        r"node fail|BOOT_FAIL|pilot not running|status=stalled|stalled|SISTER_EOF|lost (?:contact|connection|track)",
    ),
    Rule(R.LOST, r"job disconnected|starter (?:died|exited|killed)|node (?:is )?(?:down|dead|not respond)|vanished"),
    Rule(R.EVICTED, r"preempt|PREEMPTED|vacat|requeue(?!d_held)|drain|job rescheduled|going to reschedule|suspended"),
    # Refused before it began.
    Rule(
        R.SUBMIT_FAILED,
        r"reason=(?:partition\w*limit|badconstraints|\w*wall\w*limit)|status=failed.*no candidate sites",
    ),
    Rule(
        R.NOT_STARTED,
        r"no candidate sites|JobStatus ==? ?1\b|reason=(?:resources|priority|\w*notavail|\w*down|\w*limit)",
    ),
    Rule(
        R.NOT_STARTED,
        r"pilot agent submission|no (?:matching|suitable) (?:site|resource|machine)s?|never started|idle (?:for )?too"
        r"|been considered|matchmak|no (?:resources|machines|slots) match",
    ),
    Rule(R.SUBMIT_FAILED, _AT_SUBMIT),
    # A limit that was reached.
    Rule(
        R.PAYLOAD_FAILED,
        r"expression '[^']*exit(?:code|status|bysignal)|\bexit(?:ed|s)? (?:with|code|status)|finished with errors"
        r"|application thread|of reschedulings reached",
    ),
    Rule(R.OUT_OF_MEMORY, rf"{_TOO_BIG}"),
    Rule(R.SCRATCH_FULL, _TOO_WIDE),
    Rule(R.OUT_OF_TIME, rf"{_TOO_LONG}|EnteredCurrentStatus|WallClock|CommittedTime|StartDate|ShadowBday|RemoteWall"),
    # The node and the software on it.
    Rule(R.SOFTWARE_MISSING, r"application not found|docker image|image .*not found"),
    Rule(R.SOFTWARE_MISSING, r"(?:failed to exec|execve|cannot execute|create process).*(?:no such file|permission)"),
    Rule(R.NODE_UNFIT, r"singularity|apptainer|prolog|exec format|read-only|input/output error|chdir"),
    # Somebody's word.
    Rule(R.HELD, r"via condor_hold"),
    Rule(R.INPUT_MISSING, r"initial working directory|as standard input"),
    Rule(
        R.STOPPED,
        r"condor_rm|CANCELLED|kill(?:ed)? (?:signal|by (?:user|operator|admin))|status=(?:killed|deleted)|qdel|scancel",
    ),
    Rule(R.STOPPED, r"marked for termination|request of|removed by|deleted by"),
    Rule(R.RUNNER_ERROR, r"exception during execution|job ?wrapper"),
)

BATCH_FAINT: tuple[Rule, ...] = (
    Rule(R.CREDENTIAL_EXPIRED, r"code 4 subcode"),
    Rule(R.OUT_OF_TIME, r"code 4[67] subcode"),
    Rule(R.SCRATCH_FULL, r"code 34 subcode 104"),
    Rule(R.OUT_OF_MEMORY, r"code 34 subcode"),
    Rule(R.SOFTWARE_MISSING, r"code 35 subcode|code 6 subcode (?:2|13)\b"),
    Rule(R.NODE_UNFIT, r"code (?:19|45) subcode"),
    Rule(R.INPUT_MISSING, r"code 13 subcode 2\b"),
    Rule(R.INPUT_UNREADABLE, r"code 13 subcode"),
    Rule(R.STAGE_OUT_FAILED, r"code 12 subcode"),
    Rule(R.EVICTED, r"job was evicted"),
    Rule(R.HELD, r"job was held|hold reason|\w*held\w*|code \d+ subcode|job_state = H|hold_types = (?!n)"),
    Rule(R.STOPPED, r"job was aborted"),
    Rule(R.PAYLOAD_KILLED, r"exitcode=0:(?:1|2|9|15)\b|task \d+: (?:killed|terminated)"),
    Rule(R.NODE_UNFIT, r"exitcode=0:4\b|task \d+: illegal"),
    Rule(R.OUT_OF_TIME, r"exitcode=0:24\b"),
    Rule(R.PAYLOAD_CRASHED, r"exitcode=0:(?:6|7|8|11)\b|task \d+: (?:segmentation|aborted|bus error)"),
    Rule(R.SOFTWARE_MISSING, r"exitcode=12[67]:0"),
    Rule(R.PAYLOAD_FAILED, r"stat(?:us|e)=failed|task \d+: exited with"),
)

SIGNALS: dict[int, Reason] = {
    1: R.PAYLOAD_KILLED, 2: R.PAYLOAD_KILLED, 3: R.PAYLOAD_KILLED, 4: R.NODE_UNFIT, 5: R.PAYLOAD_CRASHED,
    6: R.PAYLOAD_CRASHED, 7: R.PAYLOAD_CRASHED, 8: R.PAYLOAD_CRASHED, 9: R.PAYLOAD_KILLED, 11: R.PAYLOAD_CRASHED,
    13: R.PAYLOAD_FAILED, 15: R.PAYLOAD_KILLED, 24: R.OUT_OF_TIME, 25: R.SCRATCH_FULL, 31: R.PAYLOAD_CRASHED,
}  # fmt: skip
"""What a signal shows that came without a word; all others are sent by somebody."""

ENDINGS: dict[str, dict[int, Reason]] = {
    "payload": {124: R.OUT_OF_TIME, 126: R.SOFTWARE_MISSING, 127: R.SOFTWARE_MISSING},
    "checks": {126: R.SOFTWARE_MISSING, 127: R.SOFTWARE_MISSING},
    "setup": {126: R.SOFTWARE_MISSING, 127: R.SOFTWARE_MISSING},
    BATCH: {126: R.SOFTWARE_MISSING, 127: R.SOFTWARE_MISSING},
    # curl's and xrdcp's own codes, from 50 on where both have one xrdcp's.
    "stage-in": {6: R.STORAGE_UNAVAILABLE, 7: R.STORAGE_UNAVAILABLE, 18: R.STORAGE_UNAVAILABLE,
                 35: R.STORAGE_UNAVAILABLE, 51: R.STORAGE_UNAVAILABLE, 56: R.STORAGE_UNAVAILABLE,
                 124: R.STORAGE_UNAVAILABLE, 52: R.CREDENTIAL_EXPIRED, 58: R.CREDENTIAL_EXPIRED,
                 53: R.INPUT_CORRUPT, 60: R.NODE_UNFIT, 127: R.SOFTWARE_MISSING},
    "stage-out": {6: R.STORAGE_UNAVAILABLE, 7: R.STORAGE_UNAVAILABLE, 35: R.STORAGE_UNAVAILABLE,
                  51: R.STORAGE_UNAVAILABLE, 55: R.STORAGE_UNAVAILABLE, 56: R.STORAGE_UNAVAILABLE,
                  124: R.STORAGE_UNAVAILABLE, 52: R.CREDENTIAL_EXPIRED, 58: R.CREDENTIAL_EXPIRED,
                  60: R.NODE_UNFIT, 127: R.SOFTWARE_MISSING},
}  # fmt: skip

UNKNOWN: dict[str, Reason] = {
    "probe": R.NODE_UNFIT,
    "stage-in": R.INPUT_UNREADABLE,
    "setup": R.RUNNER_ERROR,
    "payload": R.PAYLOAD_FAILED,
    "checks": R.CHECK_BROKEN,
    "stage-out": R.STAGE_OUT_FAILED,
    BATCH: R.SUBMIT_FAILED,
}

# What may lie behind a signal, or behind a program that could not be started; other words are of no account then.
# An abort is how C++ ends on any error.
_ANY = frozenset(Reason)
_BEHIND_SIGNALS = frozenset({R.OUT_OF_MEMORY, R.OUT_OF_TIME, R.SCRATCH_FULL, R.NODE_UNFIT, R.SOFTWARE_UNREACHABLE})
_BEHIND_NO_START = frozenset(
    {R.OUT_OF_MEMORY, R.NODE_UNFIT, R.SOFTWARE_UNREACHABLE, R.SOFTWARE_MISSING, R.PAYLOAD_FAILED}
)
_NO_START = (126, 127)
_ABORT, _KILLED, _TERMINATED = 6, 9, 15
COLOURS = re.compile(r"\x1b\[[\d;]*m")
# Not what ended it, whatever words are in it.
HARMLESS = re.compile(r"^\W*(?:warn(?:ing)?|info|debug|note)\b|\bwarning\b|- (?:INFO|DEBUG) -", re.IGNORECASE)


def cause_of(stage: str, text: str, exit_code: int | None = None, signal: int | None = None) -> Reason:
    """Tell why something failed.

    Parameters
    ----------
    stage
        Where the runner was, a value of `contract.Stage`, or ``batch`` for what a batch system says.
    text
        The last lines that were written; only the last 300 are read.
    exit_code, signal
        How the process ended, as far as that is known.
    """
    return cause_by_words(stage, text, exit_code, signal) or cause_by_ending(stage, exit_code, signal)


def cause_by_words(stage: str, text: str, exit_code: int | None, signal: int | None) -> Reason | None:
    """Ask the tables of words; None where no rule knows a word of it."""
    lines = [line.strip()[:LONGEST_LINE] for line in COLOURS.sub("", text).replace("\r", "\n").split("\n")]
    lines = [line for line in lines if line][-LAST_LINES:]
    possible = _possible(stage, exit_code, killer_of(exit_code, signal))
    whole = "\n".join(lines)
    for pattern, reason in _rules("whole", stage):
        if reason in possible and pattern.search(whole):
            return reason
    last_first = [line for line in reversed(lines) if not HARMLESS.search(line)]
    for table in ("lines", "faint"):
        rules = [(pattern, reason) for pattern, reason in _rules(table, stage) if reason in possible]
        for line in last_first:
            for pattern, reason in rules:
                if pattern.search(line):
                    return reason
    return None


def cause_by_ending(stage: str, exit_code: int | None, signal: int | None) -> Reason:
    """Tell the cause of an end without a word."""
    killer = killer_of(exit_code, signal)
    if stage == BATCH and killer == _TERMINATED:
        return R.STOPPED  # that is how a batch system ends a job
    if killer == _KILLED and signal is None:
        # A batch system kills all; where a shell lives to tell of it, the kernel took the one that was large.
        return R.OUT_OF_MEMORY
    if killer is not None:
        return SIGNALS.get(killer, R.PAYLOAD_KILLED)
    if exit_code is not None and exit_code in ENDINGS.get(stage, {}):
        return ENDINGS[stage][exit_code]
    return R.PAYLOAD_FAILED if stage == BATCH and exit_code else UNKNOWN[stage]


def killer_of(exit_code: int | None, signal: int | None) -> int | None:
    """Tell by which signal a process ended; a shell (128 + n) and PBS (256 + n) put it into the exit code."""
    if signal is not None or exit_code is None:
        return signal
    return next((exit_code - base for base in (128, 256) if exit_code - base in SIGNALS), None)


def _possible(stage: str, exit_code: int | None, killer: int | None) -> frozenset[Reason]:
    if stage == BATCH:
        return _ANY
    if killer not in (None, _ABORT):
        return _BEHIND_SIGNALS
    return _BEHIND_NO_START if exit_code in _NO_START else _ANY


@cache
def _rules(table: str, stage: str) -> list[tuple[re.Pattern[str], Reason]]:
    if stage == BATCH:
        rules = {"whole": (), "lines": BATCH_LINES, "faint": BATCH_FAINT}[table]
    else:
        rules = tuple(r for r in {"whole": WHOLE, "lines": LINES, "faint": FAINT}[table] if stage in r.stages.split())
    return [(re.compile(rule.pattern, re.IGNORECASE), rule.reason) for rule in rules]
