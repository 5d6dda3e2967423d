"""For every pytest here, nbval's too, whose kernels run in notebooks/, where a relative path is another folder."""

from kdlib.settings import settings

settings()
