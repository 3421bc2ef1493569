"""Names of the library as ``Any``, for tests that call them in ways a checker refuses.

Their plans are odd or wrong on purpose; what checkers say of right ones is stated where the types are tested.
"""

from __future__ import annotations

from typing import Any

import lambdacat

approve: Any = lambdacat.approve
arun: Any = lambdacat.arun
ask: Any = lambdacat.ask
atraced: Any = lambdacat.atraced
bind: Any = lambdacat.bind
choose: Any = lambdacat.choose
fail: Any = lambdacat.fail
focus: Any = lambdacat.focus
gather: Any = lambdacat.gather
interpret: Any = lambdacat.interpret
loop_while: Any = lambdacat.loop_while
parallel: Any = lambdacat.parallel
pure: Any = lambdacat.pure
recover: Any = lambdacat.recover
run: Any = lambdacat.run
sequence: Any = lambdacat.sequence
sleep_until: Any = lambdacat.sleep_until
stateful: Any = lambdacat.stateful
stream: Any = lambdacat.stream
traced: Any = lambdacat.traced
when: Any = lambdacat.when

AnyPlan = Any
